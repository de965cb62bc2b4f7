/**
 * When the one merge of a first load begins. Pure.
 *
 * It is put off to the end of a short load, because rows that come after it go through the index and cost more than twice as
 * much. But moving rows is the work of one core, and where the API is the slower one PostgreSQL has nothing to do meanwhile:
 * begun while the last pages come, it has moved what there was when they are there, takes them too, and builds the key.
 */

/**
 * Rows that are moved while pages are loaded beside it. 430,000 to 550,000 were seen on two cores with PostgreSQL at its defaults;
 * a little more, because a merge that has to wait for its last pages holds the target locked.
 */
const MOVED_ROWS_PER_SECOND = 600_000;
/** Less is merged faster than it is worth thinking about. */
const MIN_STAGED_EVENTS = 50_000;

export interface LoadProgress {
  readonly stagedEvents: number;
  readonly remainingEvents: number;
  readonly fetchedEvents: number;
  readonly seconds: number;
}

/** Whether what is staged is moved at about the time when the last page comes. */
export function isTimeForClosingMerge({
  stagedEvents,
  remainingEvents,
  fetchedEvents,
  seconds,
}: LoadProgress): boolean {
  // Nothing left: that is the end, or a total that is too small to go by.
  if (stagedEvents < MIN_STAGED_EVENTS || fetchedEvents === 0 || remainingEvents === 0) return false;
  const moveSeconds = stagedEvents / MOVED_ROWS_PER_SECOND;
  const fetchSeconds = remainingEvents / (fetchedEvents / Math.max(seconds, 0.001));
  return fetchSeconds <= moveSeconds;
}
