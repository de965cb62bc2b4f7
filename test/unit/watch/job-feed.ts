/** A job for watchers to watch: a plain snapshot that a test changes as it likes, and one that runs by itself. */
import { snapshotBeforeJob, type JobSnapshot, type WindowSnapshot } from '../../../src/core/job-snapshot.ts';

/** Noon of a day, so that times in texts are easy to read. */
export const START_MS = Date.UTC(2026, 5, 1, 12);

export function snapshotOf(changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    ...snapshotBeforeJob(START_MS),
    phase: 'loading',
    source: 'http://localhost/api/v1',
    endpoint: 'stream',
    runId: 7,
    totalEvents: 1_000_000,
    maxBytesInFlight: 96 * 2 ** 20,
    ...changes,
  };
}

export function windowOf(windowId: number, changes: Partial<WindowSnapshot> = {}): WindowSnapshot {
  return {
    windowId,
    sinceMs: null,
    untilMs: null,
    isOldestFirst: false,
    walkedToMs: null,
    safeToMs: null,
    pages: 0,
    complete: false,
    splitFrom: null,
    ...changes,
  };
}
