/** Whether the job is healthy, for machines that restart or alert. Pure. */
import { isoText } from '../core/iso-text.ts';
import type { JobSnapshot } from '../core/job-snapshot.ts';
import { progressRatio } from './progress-estimate.ts';

export type HealthAnswer = ReturnType<typeof answer>;

/**
 * Unhealthy: the job has ended with anything but 0, or nothing has moved for `stallAfterMs`. A wait that the API asked for
 * counts as movement until it ends.
 */
export function healthOf(snapshot: JobSnapshot, nowMs: number, stallAfterMs: number): HealthAnswer {
  const { ended, waiting } = snapshot;
  if (ended !== null) {
    return ended.exitCode === 0
      ? answer(snapshot, nowMs, 'ok', null)
      : answer(snapshot, nowMs, 'failed', `ended with exit code ${ended.exitCode}: ${ended.reason}`);
  }
  if (snapshot.phase === 'following') return answer(snapshot, nowMs, 'ok', null);
  const excusedUntilMs = waiting?.askedByApi === true ? (waiting.untilMs ?? nowMs) : snapshot.lastProgressMs;
  const stillSinceMs = Math.max(snapshot.lastProgressMs, excusedUntilMs);
  if (nowMs - stillSinceMs >= stallAfterMs) {
    const seconds = Math.round((nowMs - snapshot.lastProgressMs) / 1000);
    const cause = waiting === null ? '' : `; waiting for: ${waiting.reason}`;
    return answer(snapshot, nowMs, 'stalled', `nothing has moved for ${seconds} s in phase ${snapshot.phase}${cause}`);
  }
  return answer(snapshot, nowMs, 'ok', null);
}

/** Ready: API and database were reached, and the job works or has done its work. */
export function readinessOf(snapshot: JobSnapshot, nowMs: number): HealthAnswer {
  if (snapshot.ended !== null) return healthOf(snapshot, nowMs, Infinity);
  return snapshot.phase === 'starting'
    ? answer(snapshot, nowMs, 'starting', 'API and database have not both been reached yet')
    : answer(snapshot, nowMs, 'ok', null);
}

function answer(
  snapshot: JobSnapshot,
  nowMs: number,
  status: 'ok' | 'stalled' | 'failed' | 'starting',
  reason: string | null,
) {
  return {
    status: status === 'ok' ? 200 : 503,
    body: {
      status,
      reason,
      phase: snapshot.phase,
      run_id: snapshot.runId,
      progress: progressRatio(snapshot),
      last_progress: isoText(snapshot.lastProgressMs),
      seconds_since_progress: Math.max(0, Math.round((nowMs - snapshot.lastProgressMs) / 1000)),
      waiting: snapshot.waiting?.reason ?? null,
      exit_code: snapshot.ended?.exitCode ?? null,
    },
  };
}
