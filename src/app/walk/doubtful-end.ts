/**
 * What ends a chain is the API's own word on a page that is a page. Everything else that looks like an end is asked again,
 * differently: twice as it was, then by time from the place that was served last, which must bring that place again. A window
 * that looks empty is asked about across its lower bound: what comes must lie below it. Pure.
 */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { EndpointTraits, Word } from './endpoint-traits.ts';

const TIMES_ASKED_AGAIN = 2;
/** Ends in a row behind which an answer by time had more: the next one is asked about by time at once. */
const REFUTED_ENDS = 3;

export interface EndDoubt {
  /** Half a sentence for the log. */
  readonly words: string;
  /** If it stays, only the API's count can prove that the chain ended. Else three answers alike are its word. */
  readonly isStrong: boolean;
  /** An answer by time may have been cut inside of an instant: one from higher up shows whether it was. */
  readonly isCut?: boolean;
  /** Events, the word that nothing follows, and a cursor all the same: it shows what it leads to. */
  readonly leadsOn?: boolean;
}

/** An answer by time that may have been cut inside of the instant where the walk has ended. */
interface CutAnswer {
  readonly events: number;
  readonly atInstant: number;
}

/** What a walk expects, because it or an earlier one was served it. */
export interface Expected {
  readonly failureWords: EndpointTraits['failureWords'];
  /** The most events that a page of the endpoint had, and the page before this one: it may give no more, whatever is asked for. */
  readonly largestPage: number;
  readonly latestPage: number;
  /** An answer by time from lower down that may have been cut; `null`: there was none. */
  readonly cut: CutAnswer | null;
  /** The time of an event that a request by time must bring again; `null`: none was served yet. */
  readonly servedToMs: number | null;
  /** Something lies in the window. */
  readonly isInhabited: boolean;
  readonly canAskByTime: boolean;
  /** It can be asked by time, and something of it was served or lies around it. */
  readonly hasAnchors: boolean;
  /**
   * The walk is one of everything, the run keeps a part of it, and the API counts more than it has served: no count will be held against
   * it. Or more was served before the list was begun anew.
   */
  readonly isShort: boolean;
  /** The page before this answer was one by time. It ended inside of an instant, and said that more follows. */
  readonly isInsideInstant: boolean;
}

/**
 * Why a page that ends its chain is not believed; `null` when it is.
 * @param page `null`: the API says that nothing lies in these bounds
 * @param word what the page says of its end
 */
export function doubtEnd(
  { cursor, limit }: Pick<PageRequest, 'cursor' | 'limit'>,
  page: Pick<EncodedPage, 'servedCount' | 'envelope' | 'places'> | null,
  word: Exclude<Word, 'more'>,
  expected: Expected,
): EndDoubt | null {
  const { servedToMs, isInhabited, failureWords, isShort } = expected;
  if (page === null) {
    const isKnown = cursor !== null || servedToMs !== null || isInhabited;
    return { words: 'the API says that nothing lies in these bounds', isStrong: isKnown };
  }
  const isEmpty = page.servedCount === 0;
  if (page.envelope.speaksOfError && failureWords !== 'mean-nothing') {
    return { words: 'a page that ends the list speaks of an error', isStrong: true };
  }
  if (cursor === null && servedToMs !== null) {
    const { timesMs } = page.places;
    if (!timesMs.includes(servedToMs)) {
      return { words: 'an answer by time lacks the event that was served there before', isStrong: true };
    }
    if (timesMs.every((timeMs) => timeMs >= servedToMs)) {
      // It brings that place again and nothing older, and had room for more: that is an answer, whatever else it says.
      if (hasRoom(page, limit, expected)) return null;
      if (word === 'over') return leadsOnDoubt(page, cursor, isShort);
      return { words: 'an answer by time may end inside of an instant', isStrong: true, isCut: true };
    }
  }
  if (word === 'unsaid' && page.envelope.nextCursor !== null)
    return { words: 'an empty page leads to itself', isStrong: !expected.hasAnchors };
  if (word === 'unsaid') return { words: 'a page does not say whether it is the last', isStrong: true };
  if (isEmpty && servedToMs === null) {
    if (isInhabited) return { words: 'a page is empty where an earlier walk was served events', isStrong: true };
    if (cursor === null) return { words: 'the first page is empty', isStrong: false };
  }
  const leadsOn = leadsOnDoubt(page, cursor, isShort);
  if (leadsOn !== null) return leadsOn;
  if (!isEmpty && page.envelope.supposesEnd === true && expected.canAskByTime)
    return { words: 'nothing has shown how a next page is asked for', isStrong: false };
  if (!isEmpty || cursor === null) return null;
  return { words: 'a cursor leads to an empty page', isStrong: isShort || expected.isInsideInstant };
}

/** The word that nothing follows, on a page with a next cursor; `null`: it has none. */
function leadsOnDoubt(
  { servedCount, envelope: { nextCursor } }: Pick<EncodedPage, 'servedCount' | 'envelope'>,
  cursor: string | null,
  isShort: boolean,
): EndDoubt | null {
  if (nextCursor === null) return null;
  const leadsOn = servedCount > 0 && nextCursor !== cursor;
  return { words: 'a page says that nothing follows, and has a next cursor', isStrong: isShort, leadsOn };
}

/**
 * What to do about a doubtful end. `ask-higher`: by time, from higher up. `ask-smaller`: by time, for smaller pages. `below`,
 * `top`: from outside of the window, below it or at the top of all. `stands`: it was asked about in every way. `begin-anew`: so it was,
 * but by a cursor that may be dead. `look`: from above, by the cursor of the page before. `look-under`: by time, from below it. `follow`:
 * its own cursor shows.
 */
export type Question =
  | 'ask-again'
  | 'ask-by-time'
  | 'ask-higher'
  | 'ask-smaller'
  | 'below'
  | 'top'
  | 'look'
  | 'look-under'
  | 'follow'
  | 'stands'
  | 'begin-anew';

/**
 * Whether an answer by time that ends where the walk has ended could have brought more. Pages may have become smaller than an
 * instant, so one that lies inside of it shows nothing by itself; a larger one from higher up, with as many events at that instant, does.
 */
function hasRoom(
  { servedCount, places: { timesMs, instantKeys } }: Pick<EncodedPage, 'servedCount' | 'places'>,
  limit: number,
  { largestPage, latestPage, cut }: Pick<Expected, 'largestPage' | 'latestPage' | 'cut'>,
): boolean {
  if (servedCount >= limit) return false;
  if (cut !== null && servedCount > cut.events && instantKeys.length === cut.atInstant) return true;
  // No page is as small as one event.
  if (servedCount === 1) return largestPage > 1;
  return servedCount < latestPage && timesMs.some((timeMs) => timeMs !== timesMs[0]);
}

/** How often the end of a walk was doubted, and how it was asked about. */
export class EndDoubts {
  #page = 0;
  #asked = 0;
  /** Only answers that are alike count together. */
  #words = '';
  #askedAcross = 0;
  #hasAskedTop = false;
  /** The page whose end was looked at from above. */
  #lookedPage = 0;
  /** The first answer by time for a page that may have been cut. */
  #cut: ({ readonly page: number } & CutAnswer) | null = null;
  /** Where the walk was asked by time what lies below, epoch ms; `null`: not yet. */
  askedByTimeAtMs: number | null = null;
  /** What the latest answer said of what follows it. By time, and full of events of one instant: `more-inside-instant`. */
  toldMore: 'nothing' | 'more' | 'more-inside-instant' = 'nothing';
  /** The full page of one instant that was asked for in smaller ones: where, epoch ms, and its events. */
  #full: { readonly atMs: number; readonly events: number } | null = null;
  /** Ends in a row that were none. */
  #refuted = 0;

  /** See {@link Expected.cut}. */
  cut(page: number): CutAnswer | null {
    return this.#cut?.page === page ? this.#cut : null;
  }

  /** A cursor has led to events, with more behind them. */
  noteCursorLives(): void {
    this.#refuted = 0;
    if (this.#full === null || this.#full.atMs !== this.askedByTimeAtMs) this.toldMore = 'more';
  }

  /**
   * Whether the instant where the walk has ended may have more. Smaller pages, of which the last begins with the last event of the
   * full one, show that it has not: they came to as many events.
   * @param served events of the chain
   */
  isInsideInstant(served: number | null): boolean {
    const isShown = this.#full !== null && this.#full.atMs === this.askedByTimeAtMs && this.#full.events === served;
    return this.toldMore === 'more-inside-instant' && !isShown;
  }

  /** @param answer by time, that may have been cut */
  askHigher(page: number, answer: Pick<EncodedPage, 'servedCount' | 'places'> | null): Question {
    if (answer !== null && this.#cut?.page !== page) {
      this.#cut = { page, events: answer.servedCount, atInstant: answer.places.instantKeys.length };
    }
    return 'ask-higher';
  }

  /**
   * @param servedToMs where it can be asked by time, epoch ms; `null`: nowhere
   * @param across where to ask from outside; `null`: something was served in the window, or it is all there is
   * @param canLook whether the end can be looked at from above
   * @param isInside see {@link isInsideInstant}
   */
  next(
    { page, isInside, latestPage }: { readonly page: number; readonly isInside: boolean; readonly latestPage: number },
    { isStrong, words }: EndDoubt,
    servedToMs: number | null,
    across: 'below' | 'top' | null,
    canLook: boolean,
  ): Exclude<Question, 'ask-higher' | 'begin-anew' | 'follow' | 'look-under'> {
    if (page !== this.#page || words !== this.#words) {
      this.#page = page;
      this.#words = words;
      this.#asked = 0;
    }
    if (!isStrong && across !== null) {
      if (this.#askedAcross > TIMES_ASKED_AGAIN) return 'stands';
      this.#askedAcross += 1;
      return across;
    }
    // The answer by time brought nothing older, so this is where the list ends, unless it said that more follows.
    const wasAskedByTime = servedToMs !== null && servedToMs === this.askedByTimeAtMs;
    if (wasAskedByTime && !isStrong && this.toldMore === 'nothing') return 'stands';
    if (servedToMs !== null && this.askedByTimeAtMs !== null && !wasAskedByTime) {
      this.#refuted += 1;
      this.askedByTimeAtMs = null;
    }
    const isKnown = servedToMs !== null && !wasAskedByTime && this.#refuted >= REFUTED_ENDS;
    // The API's own word, that only seldom comes: one other question is enough, where there is one.
    const mayLook = canLook && servedToMs === null && page !== this.#lookedPage;
    const isOtherFirst = isKnown || (!isStrong && !wasAskedByTime && (servedToMs !== null || mayLook));
    if (!isOtherFirst && this.#asked < TIMES_ASKED_AGAIN) {
      this.#asked += 1;
      return 'ask-again';
    }
    if (mayLook) {
      this.#lookedPage = page;
      return 'look';
    }
    if (across !== null && !this.#hasAskedTop) {
      this.#hasAskedTop = true;
      return 'top';
    }
    // It fills a page, says that more follows, and its cursor brings nothing: either is untrue.
    if (wasAskedByTime && isInside && this.#full?.atMs !== servedToMs) {
      this.#asked = 0;
      this.#full = { atMs: servedToMs, events: latestPage };
      return 'ask-smaller';
    }
    if (servedToMs === null || wasAskedByTime) return 'stands';
    this.#asked = 0;
    this.askedByTimeAtMs = servedToMs;
    return 'ask-by-time';
  }
}

/**
 * What the answer across the lower bound of a window says of it. `empty`: nothing lies in it. `inhabited`: something does.
 * `answered`: only that the API answers, because below the lowest window nothing lies. `silent`: not even that.
 */
export function judgeAcross(
  page: Pick<EncodedPage, 'times' | 'servedCount'> | null,
  sinceMs: number | null,
): 'empty' | 'inhabited' | 'answered' | 'silent' {
  if (page === null || page.servedCount === 0) return 'silent';
  if (sinceMs === null) return 'answered';
  if (page.times === null) return 'silent';
  return page.times.newestMs < sinceMs ? 'empty' : 'inhabited';
}
