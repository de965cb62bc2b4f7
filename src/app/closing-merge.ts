/**
 * When the first merge of a short load begins early. Pure.
 *
 * The first merge of an empty target is put off to the end, because rows that come later go through the index and cost
 * more than twice as much. Where the API is the slower one, PostgreSQL has nothing to do meanwhile: begun shortly before the end,
 * the merge is done when the last page arrives, and only that little is left which came during it.
 */

/** Of all events; what comes during the merge is the dearer part, and has to be small. */
const MAX_REMAINING_SHARE = 0.12;
/** Rows a first merge moves, measured on two cores with PostgreSQL at its defaults. */
const MERGED_ROWS_PER_SECOND = 400_000;
/** Less is merged faster than it is worth thinking about. */
const MIN_STAGED_EVENTS = 50_000;

export interface LoadProgress {
  readonly stagedEvents: number;
  readonly remainingEvents: number;
  readonly fetchedEvents: number;
  readonly seconds: number;
}

/** Whether a merge of what is staged ends at about the time when the last page comes. */
export function isTimeForClosingMerge({
  stagedEvents,
  remainingEvents,
  fetchedEvents,
  seconds,
}: LoadProgress): boolean {
  if (stagedEvents < MIN_STAGED_EVENTS || fetchedEvents === 0) return false;
  if (remainingEvents > MAX_REMAINING_SHARE * (remainingEvents + fetchedEvents)) return false;
  const mergeSeconds = stagedEvents / MERGED_ROWS_PER_SECOND;
  const fetchSeconds = remainingEvents / (fetchedEvents / Math.max(seconds, 0.001));
  return mergeSeconds <= fetchSeconds;
}
