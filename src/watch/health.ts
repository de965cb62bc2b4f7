/** Whether the job is healthy, for machines that restart or alert. Pure. */
import { isoText } from '../core/iso-text.ts';
import { lagMs, type FollowSnapshot, type JobSnapshot } from '../core/job-snapshot.ts';
import { progressRatio } from './progress-estimate.ts';

export type HealthAnswer = ReturnType<typeof answer>;

/**
 * Degraded: it follows, and a restart would change nothing. Unhealthy: the job has ended with anything but 0, or nothing has moved for `stallAfterMs`. A wait that the API asked for
 * counts as movement until it ends.
 */
export function healthOf(snapshot: JobSnapshot, nowMs: number, stallAfterMs: number): HealthAnswer {
  const { ended, waiting } = snapshot;
  if (ended !== null) {
    return ended.exitCode === 0
      ? answer(snapshot, nowMs, 'ok', null)
      : answer(snapshot, nowMs, 'failed', `ended with exit code ${ended.exitCode}: ${ended.reason}`);
  }
  // It waits for its turn.
  if (snapshot.phase === 'standby') return answer(snapshot, nowMs, 'ok', null);
  const degraded = whyDegraded(snapshot, nowMs);
  if (degraded !== null) return answer(snapshot, nowMs, 'degraded', degraded);
  if (snapshot.phase === 'following' && nowMs - (snapshot.follow?.nextLookMs ?? nowMs) < stallAfterMs) {
    return answer(snapshot, nowMs, 'ok', null);
  }
  const excusedUntilMs = waiting?.askedByApi === true ? (waiting.untilMs ?? nowMs) : snapshot.lastProgressMs;
  const stillSinceMs = Math.max(snapshot.lastProgressMs, excusedUntilMs);
  if (nowMs - stillSinceMs >= stallAfterMs) {
    const seconds = Math.round((nowMs - snapshot.lastProgressMs) / 1000);
    const cause = waiting === null ? '' : `; waiting for: ${waiting.reason}`;
    return answer(snapshot, nowMs, 'stalled', `nothing has moved for ${seconds} s in phase ${snapshot.phase}${cause}`);
  }
  return answer(snapshot, nowMs, 'ok', null);
}

/** Why a job that follows is not as well as it could be, though it does what can be done; `null` when it is. */
function whyDegraded(snapshot: JobSnapshot, nowMs: number): string | null {
  const { follow, waiting, phase } = snapshot;
  if (follow === null) return null;
  const { away, unproven, maxLagMs } = follow;
  if (away !== null) return `waiting since ${isoText(away.sinceMs)}: ${away.reason}`;
  if (phase === 'following' && waiting?.askedByApi === false) return `waiting for: ${waiting.reason}`;
  if (unproven !== null) return `would have ended with exit code ${unproven.exitCode}: ${unproven.reason}`;
  const lag = lagMs(snapshot, nowMs);
  if (lag === null || maxLagMs === null || lag <= maxLagMs) return null;
  return `the newest event is ${Math.round(lag / 1000)} s old, and --max-lag allows ${Math.round(maxLagMs / 1000)} s`;
}

/** Ready: API and database were reached, and the job works, has done its work, or stands by to take over. */
export function readinessOf(snapshot: JobSnapshot, nowMs: number): HealthAnswer {
  if (snapshot.ended !== null) return healthOf(snapshot, nowMs, Infinity);
  return snapshot.phase === 'starting'
    ? answer(snapshot, nowMs, 'starting', 'API and database have not both been reached yet')
    : answer(snapshot, nowMs, 'ok', null);
}

function answer(
  snapshot: JobSnapshot,
  nowMs: number,
  status: 'ok' | 'degraded' | 'stalled' | 'failed' | 'starting',
  reason: string | null,
) {
  return {
    status: status === 'ok' || status === 'degraded' ? 200 : 503,
    body: {
      status,
      reason,
      phase: snapshot.phase,
      run_id: snapshot.runId,
      progress: progressRatio(snapshot),
      last_progress: isoText(snapshot.lastProgressMs),
      seconds_since_progress: Math.max(0, Math.round((nowMs - snapshot.lastProgressMs) / 1000)),
      waiting: snapshot.waiting?.reason ?? null,
      exit_code: snapshot.ended?.exitCode ?? snapshot.follow?.unproven?.exitCode ?? null,
      ...(snapshot.follow === null ? {} : followFields(snapshot, snapshot.follow, nowMs)),
    },
  };
}

function followFields(snapshot: JobSnapshot, { newestEventMs, lastTakenMs, lastProof }: FollowSnapshot, nowMs: number) {
  const lag = lagMs(snapshot, nowMs);
  return {
    lag_seconds: lag === null ? null : Math.round(lag / 1000),
    newest_event: isoText(newestEventMs),
    last_new_event: isoText(lastTakenMs),
    last_proof: lastProof === null ? null : { kind: lastProof.kind, at: isoText(lastProof.atMs) },
  };
}
