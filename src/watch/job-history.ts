/**
 * What the live page draws over time. A second's figures are kept as one row of numbers; when there are too many rows,
 * every second one goes and rows come half as often, so that an hour and a day fit in the same memory. Values are
 * totals, not rates: a row left out costs detail, never a count.
 */
import type { JobSnapshot } from '../core/job-snapshot.ts';
import type { WorkSummary } from './metrics/recent-work.ts';

const MAX_ROWS = 720;
const MAX_MERGES = 60;
const FIRST_INTERVAL_MS = 1_000;

/** Meaning of a row's numbers, in order; times are epoch ms, latencies seconds, `null` is unknown. */
export const HISTORY_COLUMNS = [
  'atMs',
  'fetched',
  'copied',
  'merged',
  'requests',
  'rateLimited',
  'retries',
  'latencyP50',
  'latencyP95',
] as const;

export type HistoryRow = readonly (number | null)[];

export interface MergeRecord {
  readonly atMs: number;
  readonly seconds: number;
  readonly events: number;
}

export class JobHistory {
  readonly #rows: HistoryRow[] = [];
  readonly #merges: MergeRecord[] = [];
  #intervalMs = FIRST_INTERVAL_MS;

  get rows(): readonly HistoryRow[] {
    return this.#rows;
  }

  /** The last sixty, oldest first. */
  get merges(): readonly MergeRecord[] {
    return this.#merges;
  }

  /** Ask as often as you like: rows are kept at the history's own pace. */
  add(snapshot: JobSnapshot, recent: WorkSummary, atMs: number): void {
    const { lastMerge } = snapshot;
    if (lastMerge !== null && lastMerge.atMs !== this.#merges.at(-1)?.atMs) {
      this.#merges.push(lastMerge);
      if (this.#merges.length > MAX_MERGES) this.#merges.shift();
    }
    const lastMs = this.#rows.at(-1)?.[0] ?? null;
    // A little early is on time: timers jitter.
    if (lastMs !== null && atMs - lastMs < this.#intervalMs * 0.9) return;
    this.#rows.push(historyRow(snapshot, recent, atMs));
    if (this.#rows.length <= MAX_ROWS) return;
    const kept = this.#rows.filter((_, index) => index % 2 === 0);
    this.#rows.splice(0, this.#rows.length, ...kept);
    this.#intervalMs *= 2;
  }
}

export function historyRow(snapshot: JobSnapshot, recent: WorkSummary, atMs: number): HistoryRow {
  const retries = Object.values(snapshot.retriesByKind).reduce((sum, count) => sum + count, 0);
  return [
    atMs,
    snapshot.fetchedEvents,
    snapshot.copiedEvents,
    snapshot.mergedEvents,
    snapshot.requests,
    snapshot.rateLimited,
    retries,
    recent.pageRequest?.p50Seconds ?? null,
    recent.pageRequest?.p95Seconds ?? null,
  ];
}
