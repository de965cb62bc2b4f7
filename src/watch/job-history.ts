/**
 * What the live page draws over time, up to the end of the job. The figures of a second are one row of numbers. Most are totals, not
 * rates: a row left out costs detail, never a count.
 */
import { lagMs, type JobSnapshot } from '../core/job-snapshot.ts';
import type { WorkSummary } from './metrics/recent-work.ts';
import { RowHistory } from './page/history.js';

/**
 * Epoch ms; events fetched, copied and merged; median and 95th percentile of a request in seconds; how old the newest event is in
 * seconds, and events that --follow has taken. `null` when unknown.
 */
export type HistoryRow = readonly [
  number,
  number,
  number,
  number,
  number | null,
  number | null,
  number | null,
  number | null,
];

export class JobHistory extends RowHistory<HistoryRow> {
  /** See {@link RowHistory.add}. */
  note(snapshot: JobSnapshot, recent: WorkSummary, atMs: number): void {
    this.add(historyRow(snapshot, recent, atMs), snapshot.ended !== null);
  }
}

export function historyRow(snapshot: JobSnapshot, { pageRequest }: WorkSummary, nowMs: number): HistoryRow {
  const { fetchedEvents, copiedEvents, mergedEvents, ended, follow } = snapshot;
  const atMs = ended?.atMs ?? nowMs;
  const lag = lagMs(snapshot, atMs);
  return [
    atMs,
    fetchedEvents,
    copiedEvents,
    mergedEvents,
    pageRequest?.p50Seconds ?? null,
    pageRequest?.p95Seconds ?? null,
    lag === null ? null : lag / 1000,
    follow?.takenEvents ?? null,
  ];
}
