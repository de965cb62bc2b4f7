/** What a page shows against what is believed of its endpoint: its order, its cursor, its length. */
import type { PageRequest, RawPage } from '../../api/api-client.ts';
import { NotInOrderError } from '../../core/errors.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { Logger } from '../../core/logging.ts';
import {
  BEGINS_ABOVE,
  beginsAbove,
  describeContradiction,
  describeDisorder,
  ignoresTimeBounds,
  type EndpointTraits,
  type Word,
} from './endpoint-traits.ts';
import type { JudgedWalk } from './judged-walk.ts';
import { sharedEnd } from './shared-end.ts';

const TIMES_ASKED_AGAIN = 2;
/** Empty pages from outside of a window whose cursors are followed: a list may have some before its first event. */
const MAX_EMPTY_ACROSS = 100;

type CheckedWalk = Pick<JudgedWalk, 'windowId' | 'position' | 'chain'>;

export class PageChecks {
  readonly #traits: EndpointTraits;
  readonly #logger: Logger;
  readonly #walk: CheckedWalk;
  readonly #lacking = new AskedAgain();
  readonly #failing = new AskedAgain();
  readonly #astray = new AskedAgain();
  readonly #stale = new AskedAgain();
  /** Pages begin with the end of the last, however often they are asked for. */
  #isMoving = false;
  /** A page began above the end of the last, and its cursor ended before it was seen twice. */
  #isOrderDoubted = false;
  #abovePage = 0;
  #emptyPage = 0;
  #emptyAcross = 0;

  constructor({ traits, logger }: { readonly traits: EndpointTraits; readonly logger: Logger }, walk: CheckedWalk) {
    this.#traits = traits;
    this.#logger = logger;
    this.#walk = walk;
  }

  /**
   * Why to ask again for a page that begins a window, half a sentence; `null` when not, or it was asked for often enough. What is new
   * at the top since it was put into a cache would be in no page of the run.
   */
  findStale({ page, cursor }: PageRequest, { fromCache }: RawPage): string | null {
    if (!fromCache || page > 1 || cursor !== null) return null;
    if (this.#stale.mayAsk(page)) return 'a first page comes out of a cache';
    const where = { window: this.#walk.windowId };
    this.#logger.warn(where, 'a first page comes out of a cache, however it is asked for');
    return null;
  }

  /**
   * What the page shows for the first time: that bounds of time, or the order of times, do not hold. The traits say it from then on.
   * @throws NotInOrderError where the walk rests on the order
   * @param passedFromMs a page went from there to below the bound, epoch ms; `null`: none has
   */
  findBroken(
    request: PageRequest,
    encoded: EncodedPage,
    isBounded: boolean,
    passedFromMs: number | null,
  ): 'bounds' | 'order' | null {
    const { windowId, position } = this.#walk;
    // Of several windows that were asked for at once, one is the first to show it; the pages of the others are no disorder.
    if (ignoresTimeBounds(request, encoded, this.#traits.widenedMs)) {
      // Every window would walk all of the data.
      this.#traits.supportsTimeBounds = false;
      if (isBounded) this.#logger.warn({ window: windowId }, 'the endpoint ignores time windows; walking one chain');
      return 'bounds';
    }
    if (!this.#traits.isOrderedByTime) return null;
    const lies = (timeMs: number): boolean =>
      passedFromMs !== null && timeMs < passedFromMs && timeMs >= (position.sinceMs ?? -Infinity);
    const disorder =
      describeDisorder(request, encoded, position.pageEndMs, this.#traits) ??
      (encoded.places.timesMs.some(lies) ? 'events came that a page below the bound had passed over' : null) ??
      (this.#traits.boundsNeedTimes && hasTimeless(encoded) ? 'some events have none' : null);
    if (disorder === null) return null;
    if (this.#traits.cursorsAreTimes) throw notInOrder(disorder);
    this.#traits.isOrderedByTime = false;
    this.#logger.warn(
      { window: windowId, page: request.page },
      `the API's order is not that of the events' times: ${disorder}; walking one chain`,
    );
    return 'order';
  }

  /**
   * Why to ask again for a page that does not go on where the last one ended, half a sentence; `null` when it does, or was asked
   * for often enough. A wrong page that comes once must neither cost the order of times nor stand for the page that it hides.
   */
  findAstray(request: PageRequest, encoded: EncodedPage): string | null {
    const { position, chain } = this.#walk;
    if (request.cursor === null) return null;
    const isAbove = this.#traits.isOrderedByTime && beginsAbove(encoded, position.pageEndMs);
    if (isAbove) {
      this.#abovePage = request.page;
      return !this.#isOrderDoubted && this.#astray.mayAsk(request.page) ? BEGINS_ABOVE : null;
    }
    if (chain.hasServed(encoded))
      return this.#astray.mayAsk(request.page) ? 'a page begins as an earlier one did' : null;
    if (this.#isMoving || encoded.envelope.mayBeginAgain === true) return null;
    if (sharedEnd(position.counter.keysBefore, encoded.places.keys) === 0) return null;
    if (this.#astray.mayAsk(request.page)) return 'a page begins with the end of the last';
    // New events at the top push the others down, under a cursor that counts places.
    this.#isMoving = true;
    return null;
  }

  /**
   * The cursor of a page is stale. @returns whether the page began above the end of the last: it cannot be seen again, so where the last
   * one ended is no place to go on from, and the next page like it is believed at once
   */
  noteStaleCursor(page: number): boolean {
    if (page !== this.#abovePage) return false;
    this.#isOrderDoubted = true;
    return true;
  }

  /**
   * Whether the page from the top of all has an event that an answer to the bounds of this window said is not there: the endpoint goes by
   * other times than it shows. The traits say it from then on.
   */
  findOtherTimes(top: EncodedPage | null): boolean {
    const { windowId, position } = this.#walk;
    const isInside = top?.places.timesMs.some((timeMs) => position.contains(timeMs)) === true;
    if (!isInside) return false;
    this.#traits.supportsTimeBounds = false;
    this.#logger.warn({ window: windowId }, 'the endpoint filters by other times than it shows; walking one chain');
    return true;
  }

  /** Whether a page from outside of the window is empty, with more behind it: where its cursor leads is the answer. */
  mayFollow({ cursor }: PageRequest, { servedCount, envelope: { hasMore, nextCursor } }: EncodedPage): boolean {
    if (servedCount > 0 || hasMore === false || nextCursor === null || nextCursor === cursor) return false;
    this.#emptyAcross += 1;
    return this.#emptyAcross <= MAX_EMPTY_ACROSS;
  }

  contradictionOf(request: PageRequest, encoded: EncodedPage): string | null {
    const contradiction = describeContradiction(request, encoded);
    if (contradiction === null) return null;
    this.#walk.chain.noteBroken(contradiction);
    this.#logger.warn({ window: this.#walk.windowId, page: request.page }, `contradiction: ${contradiction}`);
    return contradiction;
  }

  /**
   * Why to ask again for a page that may lack events, half a sentence; `null` when it does not, or was asked for often enough:
   * if its own length stays larger than it is, that number is something else. One that is empty twice is one of a list that has such.
   */
  findLack({ page }: PageRequest, { envelope, servedCount }: EncodedPage, word: Word): string | null {
    const traits = this.#traits;
    if (traits.countsReturned && envelope.returned !== null && envelope.returned > servedCount) {
      traits.countsReturned = this.#lacking.mayAsk(page);
      if (traits.countsReturned) return 'the page has fewer events than it says';
    }
    if (servedCount === 0 && word === 'more' && !traits.hasEmptyPages) {
      traits.hasEmptyPages = page === this.#emptyPage;
      this.#emptyPage = page;
      if (!traits.hasEmptyPages) return 'a page that is not the last is empty';
    }
    const isFailing = word === 'more' && envelope.speaksOfError && traits.failureWords !== 'mean-nothing';
    return isFailing && this.#failing.mayAsk(page) ? 'a page that is not the last speaks of an error' : null;
  }
}

/** Of a rejected event nobody knows whether it has a time. */
function hasTimeless({ places: { timesMs }, anomalies }: EncodedPage): boolean {
  if (!timesMs.some(Number.isNaN)) return false;
  const rejected = new Set(anomalies.filter(({ kind }) => kind === 'rejected').map(({ position }) => position));
  return timesMs.some((timeMs, at) => Number.isNaN(timeMs) && !rejected.has(at));
}

/** @param disorder what was seen, half a sentence */
export function notInOrder(disorder: string): NotInOrderError {
  return new NotInOrderError(
    `The list is not in the order that its description says: ${disorder}. The next page is asked for by the time of the last record ` +
      '(next.lastRecord), so records that stand elsewhere would be missed. What came is in the table, and is not all. Correct order, ' +
      'or next, in the description; --new-run then begins again.',
  );
}

/** How often the newest page was asked for again for one reason. */
export class AskedAgain {
  #page = 0;
  #asked = 0;

  mayAsk(page: number): boolean {
    if (page !== this.#page) this.#asked = 0;
    this.#page = page;
    this.#asked += 1;
    return this.#asked <= TIMES_ASKED_AGAIN;
  }
}
