/** What to ask about an end of a walk that is not believed, by where the walk is and how its endpoint can be asked. */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { ByTime } from './chain.ts';
import { isLimitFixed, mayBeDead } from './cursor-age.ts';
import { EndDoubts, doubtEnd, type EndDoubt, type Question } from './doubtful-end.ts';
import type { EmptyWindow } from './empty-window.ts';
import type { EndpointTraits, Word } from './endpoint-traits.ts';
import type { JudgedWalk } from './judged-walk.ts';

/** Where the walk is. `isWhole`: it is all there is, nothing lies outside of it. */
interface AskedAbout {
  readonly byTime: ByTime;
  readonly isWhole: boolean;
  readonly emptyWindow: Pick<EmptyWindow, 'isInhabited' | 'hasAnswer'>;
}

interface Asked {
  readonly doubt: EndDoubt | null;
  readonly question: Question;
}

export class EndQuestions {
  readonly #traits: EndpointTraits;
  readonly #walk: JudgedWalk;
  readonly #doubts = new EndDoubts();

  constructor(traits: EndpointTraits, walk: JudgedWalk) {
    this.#traits = traits;
    this.#walk = walk;
  }

  /** @param page `null`: the API says that nothing lies in the bounds. @param word what the page says of its end */
  about(request: PageRequest, page: EncodedPage | null, word: Word, at: AskedAbout): Asked {
    const { position, chain } = this.#walk;
    const { servedToMs } = position;
    if (word === 'more') {
      this.#noteMore(request, page);
      return { doubt: null, question: 'stands' };
    }
    const sizes = { latestPage: chain.latestPage, cut: this.#doubts.cut(request.page) };
    // What was never served cannot be asked for again, and a list that is walked as a whole has nothing around it.
    const hasAnchors = at.byTime.hasAnchors && (servedToMs !== null || !at.isWhole);
    // What ends below the window's bound lacks nothing of the window.
    const isInhabited = at.emptyWindow.isInhabited && !position.endsBelow;
    const isInsideInstant = this.#doubts.isInsideInstant(chain.served);
    const served = (chain.served ?? Infinity) + (page?.servedCount ?? 0);
    const isCountShort = !at.byTime.bounds.until && position.isLimited && chain.isShortOf(page);
    const isShort = isCountShort || (at.isWhole && served < this.#traits.servedBeforeAnew);
    const asks = { hasAnchors, canAskByTime: at.byTime.hasAnchors };
    const expected = { ...this.#traits, ...sizes, ...asks, servedToMs, isInhabited, isShort, isInsideInstant };
    const doubt = doubtEnd(request, page, word, expected);
    return { doubt, question: doubt === null ? 'stands' : this.#ask(request, page, doubt, at) };
  }

  /** More follows, as the API says. */
  #noteMore({ cursor, limit }: PageRequest, page: EncodedPage | null): void {
    if (page === null) return;
    const { servedToMs } = this.#walk.position;
    const isEmpty = page.servedCount === 0;
    if (cursor !== null) {
      if (!isEmpty) this.#doubts.noteCursorLives();
      return;
    }
    // Without events it has not shown that its place is still there.
    if (isEmpty) this.#doubts.askedByTimeAtMs = null;
    const isOlder = servedToMs === null || page.places.timesMs.some((timeMs) => timeMs < servedToMs);
    // A list may end with an empty page. Then a page with room says no more than that when it says that more follows.
    const isFull = page.servedCount >= Math.min(limit, this.#traits.largestPage);
    // No page is smaller than one event.
    const isInside = isFull && page.servedCount > 1 && !isOlder && page.envelope.endsEmpty !== true;
    this.#doubts.toldMore = isInside ? 'more-inside-instant' : 'more';
  }

  #ask(request: PageRequest, page: EncodedPage | null, doubt: EndDoubt, at: AskedAbout): Question {
    const { position, chain, emptyRanges } = this.#walk;
    const { byTime, isWhole } = at;
    const { servedToMs, sinceMs, untilMs } = position;
    const isEmpty = page === null || page.servedCount === 0;
    if (doubt.isCut === true && position.raise()) return this.#doubts.askHigher(request.page, page);
    const endMs = isEmpty ? servedToMs : (page.times?.oldestMs ?? null);
    const fromMs = byTime.hasAnchors ? endMs : null;
    // By time it cannot be asked, or was: the page ends inside of the instant that was asked for.
    if (doubt.leadsOn === true && (fromMs === null || fromMs === this.#doubts.askedByTimeAtMs)) return 'follow';
    const canAskAcross = byTime.hasAnchors && servedToMs === null && !isWhole && isEmpty;
    const across = canAskAcross ? (sinceMs === null ? 'top' : 'below') : null;
    // What the walks beside this one were answered says it, too.
    const isSilent = at.emptyWindow.hasAnswer && emptyRanges.isSilentBelow(untilMs);
    if (across !== null && !doubt.isStrong && (isSilent || emptyRanges.covers(position))) return 'stands';
    const canLook = across === null && chain.lookFromAbove(request, isEmpty ? null : page, false) !== null;
    const { latestPage, served } = chain;
    const walked = { page: request.page, latestPage, isInside: this.#doubts.isInsideInstant(served) };
    const question = this.#doubts.next(walked, doubt, fromMs, across, canLook);
    // The answer by time may have ended far above the end, and gone on by the cursors that are in doubt.
    const canLookUnder = isEmpty && fromMs !== null && !doubt.isStrong && chain.lookUnder(request.page) !== null;
    if (question === 'stands' && canLookUnder) return 'look-under';
    // Behind the first page nothing can be looked at from above: what its last record asks for may have vanished with it.
    const isBehindFirst = request.cursor !== null && !isLimitFixed(request) && !canLook;
    const isDead = isBehindFirst || mayBeDead(request, this.#walk.storedCursor);
    return question === 'stands' && isEmpty && isDead && this.mayBeginAnew(byTime) ? 'begin-anew' : question;
  }

  /**
   * Where an old cursor leads may be what a dead one is answered with. Where nothing can be asked by time, the list is begun from the
   * top for that, once.
   */
  mayBeginAnew(byTime: ByTime): boolean {
    return !canGoOnByTime(byTime, this.#walk) && !this.#traits.wasBegunAnew;
  }
}

export function canGoOnByTime({ hasAnchors }: ByTime, { position }: Pick<JudgedWalk, 'position'>): boolean {
  return hasAnchors && position.topMs !== null;
}

/**
 * A chain by time must begin at or above what was served last. Where this one does not, the next is asked for from higher up.
 * @param answer `null`: the API says that nothing lies there
 * @returns false as well when there is nowhere higher
 */
export function mustBeginHigher(
  { hasAnchors }: ByTime,
  { position }: Pick<JudgedWalk, 'position'>,
  { cursor, page }: Pick<PageRequest, 'cursor' | 'page'>,
  answer: Pick<EncodedPage, 'places'> | null,
): boolean {
  const isByTime = hasAnchors && cursor === null && page > 1;
  return isByTime && (answer === null || !position.counter.joins(answer.places)) && position.raise();
}
