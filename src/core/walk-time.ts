/**
 * Walk time. A walk goes down a list, from its newest record to its oldest. A list that has its oldest record first is walked by the same
 * code over −t: there every time is turned into its negative, so that what comes first is the newest again.
 *
 *   newest first   walk time = t     the list goes on for ever above its top
 *   oldest first   walk time = −t    the list grows below its bottom
 *
 * The encoder turns the times of pages, the wire turns bounds back. What lies between them (windows, anchors, places, the ledger and
 * `ingestion.state`) knows walk time alone. Rows, limits and watermarks of runs, and whatever people read, have the real time.
 */

/** `[sinceMs, untilMs)`, epoch ms; `null` is open. */
export interface TimeRange {
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** Of which bounds of time an API takes, in walk time: `until` begins a walk, `since` ends it. */
export interface WalkBounds {
  readonly since: boolean;
  readonly until: boolean;
}

/** Whether a range has no bound at all. */
export function isOpen({ sinceMs, untilMs }: TimeRange): boolean {
  return sinceMs === null && untilMs === null;
}

/** Real time into walk time, or back. */
export function turnTime(ms: number, isOldestFirst: boolean): number {
  return isOldestFirst ? 0 - ms : ms;
}

/** A range of real time into one of walk time, or back. */
export function turnRange({ sinceMs, untilMs }: TimeRange, isOldestFirst: boolean): TimeRange {
  if (!isOldestFirst) return { sinceMs, untilMs };
  return { sinceMs: untilMs === null ? null : 0 - untilMs, untilMs: sinceMs === null ? null : 0 - sinceMs };
}
