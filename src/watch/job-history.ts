/**
 * What the live page draws over time, up to the end of the job. The figures of a second are one row of numbers. When there are too many rows, every
 * second row goes and rows come half as often, so that an hour and a day fit in the same memory; of a job that goes on, the last day stays. Figures are totals, not
 * rates: a row left out costs detail, never a count.
 */
import type { JobSnapshot } from '../core/job-snapshot.ts';
import type { WorkSummary } from './metrics/recent-work.ts';

const MAX_ROWS = 720;
const FIRST_INTERVAL_MS = 1_000;
const DAY_MS = 86_400_000;

/** Epoch ms; events fetched, copied and merged; median and 95th percentile of a request in seconds, `null` when unknown. */
export type HistoryRow = readonly [number, number, number, number, number | null, number | null];

export class JobHistory {
  readonly #rows: HistoryRow[] = [];
  #intervalMs = FIRST_INTERVAL_MS;

  get rows(): readonly HistoryRow[] {
    return this.#rows;
  }

  /** Rows are dropped from the old end then. */
  get #hasDay(): boolean {
    return this.#intervalMs * MAX_ROWS >= DAY_MS;
  }

  /** Call it as often as you like: rows are kept at the history's own pace. */
  add(snapshot: JobSnapshot, recent: WorkSummary, atMs: number): void {
    const row = historyRow(snapshot, recent, atMs);
    const sinceLastMs = row[0] - (this.#rows.at(-1)?.[0] ?? -Infinity);
    // Timers jitter: a little early is on time. The end is always shown.
    if (snapshot.ended === null ? sinceLastMs < this.#intervalMs * 0.9 : sinceLastMs <= 0) return;
    this.#rows.push(row);
    if (this.#rows.length <= MAX_ROWS) return;
    if (this.#hasDay) {
      this.#rows.shift();
      return;
    }
    const kept = this.#rows.filter((_, index) => index % 2 === 0);
    this.#rows.splice(0, this.#rows.length, ...kept);
    this.#intervalMs *= 2;
  }
}

export function historyRow(snapshot: JobSnapshot, { pageRequest }: WorkSummary, atMs: number): HistoryRow {
  const { fetchedEvents, copiedEvents, mergedEvents, ended } = snapshot;
  return [
    ended?.atMs ?? atMs,
    fetchedEvents,
    copiedEvents,
    mergedEvents,
    pageRequest?.p50Seconds ?? null,
    pageRequest?.p95Seconds ?? null,
  ];
}
