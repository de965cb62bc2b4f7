/** What the pages of an endpoint show of it; shared by all walks of a run. Pure. */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage, PageEnvelope } from '../../core/encoded-page.ts';

export interface EndpointTraits {
  /** How far outside of the bounds it was asked for a page may reach, because these are sent widened. */
  readonly widenedMs: number;
  /** A cursor stands in the list of the bounds that its chain was begun with, and is sent with these. */
  readonly cursorsKeepBounds: boolean;
  /** Its list has the oldest event first: all times that walks go by are turned. See core/walk-time.ts. */
  readonly isOldestFirst: boolean;
  /** A cursor is the time of a page's last event: without the order of times it misses what stands elsewhere. */
  readonly cursorsAreTimes: boolean;
  /** Its bounds may leave out events that have no time: where some come, nothing rests on times any more. */
  readonly boundsNeedTimes: boolean;
  /** Events after which a chain ends as if it were at its end; Infinity: it does not. */
  readonly cap: number;
  /** A chain has ended there, and could not go on by time. */
  hasMetCap: boolean;
  /** Whether `since` and `until` select a window. */
  supportsTimeBounds: boolean;
  /** Whether its answers about windows beside each other agree on what lies in them. Else nothing is divided any more. */
  windowsAgree: boolean;
  /** Whether every page so far showed that the order is that of the events' times. Windows, anchors and bounds rest on it. */
  isOrderedByTime: boolean;
  /** Whether its pages have a flag (`hasMore`). Then a page without it does not say that it is the last. */
  hasFlag: boolean;
  /**
   * What words of a failure on a page mean: nothing where every page has them. That a page had none is remembered with the
   * source, because a run may meet no other page; that all had them is not carried over from one run to the next.
   */
  failureWords: 'unknown' | 'mean-failure' | 'mean-nothing';
  /** Whether what a page says of its own length was found to be that. */
  countsReturned: boolean;
  /** Whether its list was found to have pages without events, with more behind them. */
  hasEmptyPages: boolean;
  /** Whether a list was begun from the top because an old cursor led nowhere. Once is enough: then that is what its list is like. */
  wasBegunAnew: boolean;
  /** Events that had come before it: an end before as many have come again is none. */
  servedBeforeAnew: number;
  /** The most events a page may have, as the API says; Infinity when it does not. */
  maxPage: number;
  /** The most that it said before it was asked for more all the same; `null`: it was not. What it says again then is so. */
  doubtedMaxPage: number | null;
  /** Whether it serves no more than what is asked for: a page of just as many, more behind it, shows that; `null`: not known. */
  mindsLimit: boolean | null;
  /** Events of the largest page so far. */
  largestPage: number;
  /** How large an event has to be expected, bytes of JSON. */
  eventBytes: number;
}

const FIRST_GUESS_EVENT_BYTES = 400;
/** A page of small events does not make the next large one a surprise, a hundred of them do. */
const FORGETTING = 0.98;
/** `since` and `until` are sent widened by a millisecond, and rounded. */
const OF_DATASYNC = {
  widenedMs: 2,
  cursorsKeepBounds: false,
  cursorsAreTimes: false,
  boundsNeedTimes: false,
  cap: Infinity,
  isOldestFirst: false,
};

/**
 * Assumed until a page shows otherwise.
 * @param known what earlier pages have shown of the source
 */
export function unknownTraits(
  known: Pick<EndpointTraits, 'isOrderedByTime' | 'hasFlag' | 'failureWords'>,
  described: Pick<EndpointTraits, keyof typeof OF_DATASYNC> = OF_DATASYNC,
): EndpointTraits {
  return {
    ...described,
    hasMetCap: false,
    supportsTimeBounds: true,
    windowsAgree: true,
    ...known,
    countsReturned: true,
    hasEmptyPages: false,
    wasBegunAnew: false,
    servedBeforeAnew: 0,
    maxPage: Infinity,
    doubtedMaxPage: null,
    mindsLimit: null,
    largestPage: 0,
    eventBytes: FIRST_GUESS_EVENT_BYTES,
  };
}

/** No page of a new run has words of a failure yet: one without them contradicts none of its pages. */
export function forNewRun<T extends Pick<EndpointTraits, 'failureWords'>>(known: T): T {
  return known.failureWords === 'mean-nothing' ? { ...known, failureWords: 'unknown' } : known;
}

export function noteEventBytes(traits: EndpointTraits, page: { servedCount: number; bodyBytes: number }): void {
  if (page.servedCount === 0) return;
  traits.largestPage = Math.max(traits.largestPage, page.servedCount);
  const averageBytes = Math.ceil(page.bodyBytes / page.servedCount);
  traits.eventBytes = Math.max(averageBytes, Math.ceil(traits.eventBytes * FORGETTING));
}

/** A broken event can read as several: only a page that is longer by more shows that the API does not mind the limit. */
const MOST_SURPLUS_SHARE = 0.25;
const MOST_SURPLUS = 2;

/** Whether a page shows that the endpoint ignores the limit: it has many more events than were asked for. */
export function noteSurplus(traits: Pick<EndpointTraits, 'mindsLimit'>, limit: number, events: number): boolean {
  const isSurplus = events > limit * (1 + MOST_SURPLUS_SHARE) + MOST_SURPLUS;
  if (isSurplus) traits.mindsLimit = false;
  return isSurplus;
}

/** What a page shows of the endpoint's limits. Once it has served more than what was asked for, nothing else counts. */
export function noteLimit(
  traits: Pick<EndpointTraits, 'mindsLimit'>,
  limit: number,
  { servedCount, envelope }: Pick<EncodedPage, 'servedCount' | 'envelope'>,
): void {
  if (noteSurplus(traits, limit, servedCount)) return;
  if (servedCount === limit && envelope.hasMore === true) traits.mindsLimit ??= true;
}

/** Half a sentence for the log; `null` when the envelope makes sense. */
export function describeContradiction(
  asked: Pick<PageRequest, 'cursor'>,
  page: { readonly envelope: Pick<PageEnvelope, 'hasMore' | 'nextCursor'>; readonly servedCount: number },
): string | null {
  const { hasMore, nextCursor } = page.envelope;
  if (hasMore === true && nextCursor === null) return 'the page says hasMore, but has no next cursor';
  if (nextCursor !== null && nextCursor === asked.cursor && hasMore !== false && !leadsToItself(asked, page)) {
    return 'the next cursor is the one that was asked for';
  }
  return null;
}

/** As the end of a queue does: an empty page, and the cursor again. */
function leadsToItself(
  { cursor }: Pick<PageRequest, 'cursor'>,
  {
    envelope,
    servedCount,
  }: { readonly envelope: Pick<PageEnvelope, 'hasMore' | 'nextCursor'>; readonly servedCount: number },
): boolean {
  return servedCount === 0 && cursor !== null && envelope.nextCursor === cursor && envelope.hasMore === null;
}

/** Checked, not believed: a page that lies above the time it was asked for comes from an endpoint without time bounds. */
export function ignoresTimeBounds(
  { cursor, untilMs }: Pick<PageRequest, 'cursor' | 'untilMs'>,
  { times, servedCount }: Pick<EncodedPage, 'times' | 'servedCount'>,
  widenedMs: number,
): boolean {
  if (cursor !== null || untilMs === null || times === null) return false;
  // One event alone may have a wrong clock.
  return servedCount > 1 && times.descending && times.lastMs > untilMs + widenedMs;
}

export const BEGINS_ABOVE = 'a page begins above the end of the last';

export function beginsAbove({ times }: Pick<EncodedPage, 'times'>, pageEndMs: number | null): boolean {
  return times !== null && pageEndMs !== null && times.newestMs > pageEndMs;
}

/**
 * What a page shows against an order by time; `null` when nothing. An API may serve by arrival and filter by the event's own
 * time: then neither a window's end nor an anchor can be told by times.
 * @param pageEndMs where the page before it ended, if a cursor led from there to here
 */
export function describeDisorder(
  { cursor, sinceMs, untilMs }: Pick<PageRequest, 'cursor' | 'sinceMs' | 'untilMs'>,
  { times }: Pick<EncodedPage, 'times'>,
  pageEndMs: number | null,
  { widenedMs, isOldestFirst }: Pick<EndpointTraits, 'widenedMs' | 'isOldestFirst'>,
): string | null {
  if (times === null) return null;
  if (!times.descending)
    return isOldestFirst ? 'a page has older events behind newer ones' : 'a page has newer events behind older ones';
  if (cursor !== null) return beginsAbove({ times }, pageEndMs) ? BEGINS_ABOVE : null;
  const isAbove = untilMs !== null && times.newestMs > untilMs + widenedMs;
  const isBelow = sinceMs !== null && times.oldestMs < sinceMs - widenedMs;
  return isAbove || isBelow ? 'a page has events outside of the bounds it was asked for' : null;
}

/**
 * Takes in what words of a failure on an accepted page, or their absence, show of all pages.
 * @returns whether it may lack events, or shows that pages before it may: their words of a failure were no habit
 */
export function noteFailureWords(traits: EndpointTraits, word: Word, speaks: boolean): boolean {
  if (word !== 'more') return false;
  const before = traits.failureWords;
  if (!speaks) traits.failureWords = 'mean-failure';
  else if (before === 'unknown') traits.failureWords = 'mean-nothing';
  return speaks ? before === 'mean-failure' : before === 'mean-nothing';
}

/** What a page says about the end of its chain; `unsaid`: nothing that would be its own word. */
export type Word = 'more' | 'over' | 'unsaid';

export function readWord(
  asked: Pick<PageRequest, 'cursor'>,
  page: Pick<EncodedPage, 'envelope' | 'servedCount'>,
  { hasFlag }: Pick<EndpointTraits, 'hasFlag'>,
): Word {
  const { hasMore, nextCursor, saysNoCursor } = page.envelope;
  if (hasMore !== null) return hasMore ? 'more' : 'over';
  if (nextCursor !== null) return leadsToItself(asked, page) ? 'unsaid' : 'more';
  return saysNoCursor && !hasFlag ? 'over' : 'unsaid';
}
