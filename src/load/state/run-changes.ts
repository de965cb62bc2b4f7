/** What the job writes about runs and windows, as data. */
import type { Run } from '../../core/state.ts';

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
}

/** A run that goes on from no earlier one. */
export const FROM_THE_START = Object.freeze({
  incrementalSinceMs: null,
  lookbackMs: null,
  begunBy: null,
  baseTotal: null,
  baseRecent: null,
});
