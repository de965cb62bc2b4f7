/** A job for watchers to watch: a plain snapshot that a test changes as it likes, and one that runs by itself. */
import type { JobSnapshot, WindowSnapshot } from '../../../src/core/job-snapshot.ts';
import { NO_COUNTS } from '../../../src/core/state.ts';

/** Noon of a day, so that times in texts are easy to read. */
export const START_MS = Date.UTC(2026, 5, 1, 12);

export function snapshotOf(changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    phase: 'loading',
    source: 'http://localhost/api/v1',
    endpoint: 'stream',
    runId: 7,
    pass: 1,
    startedAtMs: START_MS,
    lastProgressMs: START_MS,
    totalEvents: 1_000_000,
    counts: NO_COUNTS,
    fetchedEvents: 0,
    fetchedPages: 0,
    fetchedBytes: 0,
    copiedEvents: 0,
    mergedEvents: 0,
    requests: 0,
    pagesInFlight: 0,
    bytesInFlight: 0,
    maxBytesInFlight: 96 * 2 ** 20,
    encodeQueue: 0,
    copyQueue: 0,
    stagedRows: 0,
    waiting: null,
    retriesByKind: {},
    rateLimited: 0,
    anomaliesByReason: {},
    merges: 0,
    lastMerge: null,
    newestEventMs: null,
    windows: [],
    ended: null,
    ...changes,
  };
}

export function windowOf(windowId: number, changes: Partial<WindowSnapshot> = {}): WindowSnapshot {
  return {
    windowId,
    sinceMs: null,
    untilMs: null,
    walkedToMs: null,
    safeToMs: null,
    pages: 0,
    complete: false,
    splitFrom: null,
    ...changes,
  };
}
