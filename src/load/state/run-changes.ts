/** What the job writes about runs and windows, as data. */
import type { Run } from '../../core/state.ts';
import type { TargetRows } from './target-rows.ts';

export interface WindowBounds {
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

export interface RunUpdate {
  readonly serverDateMs?: number | null;
  readonly pass?: number;
  readonly passTotal?: number | null;
  readonly newestMs?: number | null;
  /** Set once. */
  readonly watermarkMs?: number | null;
}

export interface NewRun extends Pick<
  Run,
  'incrementalSinceMs' | 'lookbackMs' | 'begunBy' | 'baseTotal' | 'baseRecent'
> {
  readonly windows: readonly [WindowBounds, ...WindowBounds[]];
  /** The unfinished run that is given up for this one, if there is one. */
  readonly instead?: number;
  /**
   * Rows that earlier runs have left are gone, and so many are there: what those runs have seen is forgotten. In one transaction with
   * the new run, because a start that is refused, or dies, before it has a run that brings them back must leave them missed.
   */
  readonly rowsLeft?: Pick<TargetRows, 'rows' | 'deletions'>;
}

/** A run that goes on from no earlier one. */
export const FROM_THE_START = Object.freeze({
  incrementalSinceMs: null,
  lookbackMs: null,
  begunBy: null,
  baseTotal: null,
  baseRecent: null,
});
