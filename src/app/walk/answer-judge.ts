/**
 * Judges one answer of the API, once: what it brings, and what the walk of its window does next. It asks for nothing and
 * accepts nothing itself; the reader carries out the step.
 */
import { NO_CURSOR, type PageAnswer, type PageRequest, type RawPage } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { Permit } from '../../core/in-flight-limit.ts';
import { NO_PLACES } from '../../core/state.ts';
import { isOpen, type WalkBounds } from '../../core/walk-time.ts';
import { BehindEnd } from './behind-end.ts';
import type { ByTime } from './chain.ts';
import { DeadCursors } from './dead-cursors.ts';
import { isLimitFixed, nextPage, type NextPage } from './cursor-age.ts';
import type { EndDoubt, Question } from './doubtful-end.ts';
import { EmptyWindow } from './empty-window.ts';
import { EndQuestions, canGoOnByTime, mustBeginHigher } from './end-questions.ts';
import { noteEventBytes, noteFailureWords, readWord } from './endpoint-traits.ts';
import type { JudgedWalk, JudgeOptions } from './judged-walk.ts';
import { eventTooLarge } from './no-progress.ts';
import { PageChecks } from './page-checks.ts';
import type { Brought, Step } from './step.ts';

/** Body and rows of a page are both in memory until its COPY has committed. */
export const BYTES_PER_BODY_BYTE = 2;

type AskedAgain = readonly [request: PageRequest, fault: string, detail: string, next: NextPage, suspect: boolean];

const NO_BOUNDS: WalkBounds = { since: false, until: false };

export class AnswerJudge {
  readonly #options: JudgeOptions;
  readonly #walk: JudgedWalk;
  readonly #questions: EndQuestions;
  readonly #checks: PageChecks;
  readonly #behindEnd: BehindEnd;
  readonly #cursors: DeadCursors;
  /** What is known of the window where it looks empty. */
  readonly emptyWindow: EmptyWindow;
  /** The run's only window: nothing but cursors and the API's own bounds have decided what it brings. */
  isWhole: boolean;
  #dividing: Promise<unknown> | null = null;
  /** Where the walk was asked by time what lies above its bound. */
  #askedAboveBoundMs: number | null = null;
  /** The lower bound that the chain was begun with; `undefined` where another process has begun it. */
  #chainSinceMs: number | null | undefined;

  constructor(options: JudgeOptions, walk: JudgedWalk, isWhole: boolean) {
    this.#options = options;
    this.#walk = walk;
    this.#checks = new PageChecks(options, walk);
    this.#questions = new EndQuestions(options.traits, walk);
    this.#behindEnd = new BehindEnd(options.traits, walk);
    this.#cursors = new DeadCursors(options, walk, this.#checks);
    this.emptyWindow = new EmptyWindow(walk, this.#checks);
    this.isWhole = isWhole;
  }

  /** How far the endpoint can be asked by time now. */
  get byTime(): ByTime {
    const { client, traits } = this.#options;
    const bounds = traits.supportsTimeBounds ? client.bounds : NO_BOUNDS;
    return { bounds, hasAnchors: bounds.until && traits.isOrderedByTime };
  }

  /** Whether a request without a cursor brings what comes next: the top of a fresh chain, or a time to go on from. */
  canBegin(page: number): boolean {
    const { bounds, hasAnchors } = this.byTime;
    const { topMs } = this.#walk.position;
    if (page > 1) return hasAnchors && topMs !== null;
    // Without an upper bound a chain begins at the top of everything: it brings the topmost window, and ends below its bound.
    const reachesWindow = bounds.until ? hasAnchors : this.#options.traits.isOrderedByTime && topMs === null;
    return this.isWhole || reachesWindow;
  }

  /** Holds the next page until the window is divided, so that it counts only what stays the window's own. */
  divideWhile(dividing: Promise<unknown>): void {
    this.isWhole = false;
    this.#dividing = dividing;
  }

  /** @param asked what the walk asked for last. @throws GaveUpError, what the encoder throws */
  async judge(request: PageRequest, answer: PageAnswer, permit: Permit, asked: NextPage): Promise<Step> {
    if (request.cursor === null) {
      this.#chainSinceMs = request.sinceMs;
      // A chain that a time has begun is no longer whole.
      if (request.page > 1) this.isWhole = false;
    }
    // An API that fails says nothing of an end that is only supposed.
    const isNoWord = answer.kind === 'stale-cursor' && answer.isFailure && asked.pastEnd === 'supposed';
    if (answer.kind !== 'page' && answer.kind !== 'endpoint-changed' && !isNoWord) {
      const behindEnd = this.#behindEnd.judge(request, null, asked);
      if (behindEnd !== null) return behindEnd;
    }
    switch (answer.kind) {
      case 'page':
        if (request.across !== undefined) return this.#judgeAcross(request, answer.page, permit, asked);
        return this.#judgePage({ ...request, limit: answer.page.limit }, answer.page, permit, asked);
      case 'outside-range':
        if (request.across !== undefined) return this.#judgeAcross(request, null, permit, asked);
        return this.#judgeNothing(request, permit, asked);
      case 'stale-cursor':
        return this.#cursors.drop(answer.detail, asked, this.byTime);
      case 'endpoint-changed':
        // The cursor is the lost endpoint's: in the list of the other one it may stand anywhere.
        if (!this.canBegin(asked.page)) return { kind: 'needs-chain' };
        return {
          kind: 'retry',
          next: { page: asked.page, ...NO_CURSOR },
          suspect: this.#walk.position.topMs !== null,
        };
      case 'too-large':
        return this.#askForLess(request, answer.maxEvents, asked);
    }
  }

  /** @param maxEvents what the API allows; `null` when it does not say, or the page is too large for us */
  #askForLess(request: PageRequest, maxEvents: number | null, asked: NextPage): Step {
    // Read to its end, an answer cannot be too large for us: the API itself refuses to serve it.
    if (request.keepsEnds === true) throw eventTooLarge(request);
    this.#options.onRetry('too-large');
    const isFixed = isLimitFixed(request) && request.limit > 1;
    if (isFixed && !canGoOnByTime(this.byTime, this.#walk))
      this.#options.traits.maxPage = Math.floor(request.limit / 2);
    else this.#walk.limit.noteTooLarge(maxEvents);
    const why = 'its page is too large, and with another limit it stands elsewhere';
    if (isFixed) return this.#cursors.drop(why, asked, this.byTime);
    return { kind: 'retry', next: { ...asked, keepsEnds: request.limit <= 1 }, suspect: false };
  }

  /** The API says that nothing lies in the bounds: the window ends with a page that has no events. */
  async #judgeNothing(request: PageRequest, permit: Permit, asked: NextPage): Promise<Step> {
    const anew = { ...asked, ...NO_CURSOR };
    if (mustBeginHigher(this.byTime, this.#walk, request, null)) return { kind: 'retry', next: anew, suspect: false };
    const { doubt, question } = this.#questions.about(request, null, 'over', this);
    if (doubt !== null && question !== 'stands') return this.#askAboutEnd(request, doubt, question, asked);
    permit.resize(0);
    return this.#behindEnd.end(request.page, doubt?.isStrong === true);
  }

  /** The window looks empty, and the API was asked what lies outside of it. */
  async #judgeAcross(request: PageRequest, raw: RawPage | null, permit: Permit, asked: NextPage): Promise<Step> {
    const step = await this.emptyWindow.judge(request, raw, asked);
    if (step?.kind === 'end') permit.resize(0);
    if (step !== null) return step;
    const next = { ...asked, ...NO_CURSOR, across: undefined };
    return this.#askAgain(request, 'doubtful-end', 'nothing comes even from outside of a window', next, true);
  }

  async #judgePage(request: PageRequest, raw: RawPage, permit: Permit, asked: NextPage): Promise<Step> {
    const { traits } = this.#options;
    const { position, encoder, chain, limit, storedCursor } = this.#walk;
    permit.resize(raw.bodyBytes * BYTES_PER_BODY_BYTE);
    const stale = this.#checks.findStale(request, raw);
    if (stale !== null) return this.#askDifferently(request, 'cached', stale, asked, false);
    const instantMs = position.counter.edge?.atMs ?? null;
    const encoded = await encoder.encode(request, { instantMs, isKeyed: !traits.isOrderedByTime }, raw);
    const behindEnd = this.#behindEnd.judge(request, { raw, encoded }, asked);
    if (behindEnd !== null) return behindEnd;
    if (encoded.status === 'faulty') {
      const next = isLimitFixed(request) ? { ...asked, ...NO_CURSOR } : asked;
      const canNarrow = !isLimitFixed(request) || canGoOnByTime(this.byTime, this.#walk);
      if (encoded.isNarrowed === true && canNarrow) return { kind: 'retry', next, suspect: false };
      if (encoded.fault === 'stale-cursor') return this.#cursors.drop(encoded.detail, asked, this.byTime);
      if (encoded.fault === 'too-large') return this.#askForLess(request, null, asked);
      return this.#askAgain(request, encoded.fault, encoded.detail, asked, false);
    }
    const astray = asked.look === undefined ? this.#checks.findAstray(request, encoded) : null;
    if (astray !== null) return this.#askDifferently(request, 'astray', astray, asked, true);
    const broken = this.#checks.findBroken(request, encoded, this.byTime.bounds.until, this.#askedAboveBoundMs);
    // What was counted before rests on the order: only a chain that begins with this page can go on without it.
    const isBegun = !this.isWhole || request.page > 1;
    if (broken === 'bounds' || (broken === 'order' && isBegun)) return { kind: 'needs-chain' };
    const anew = { ...asked, ...NO_CURSOR };
    if (mustBeginHigher(this.byTime, this.#walk, request, encoded))
      return { kind: 'retry', next: anew, suspect: false };
    const isRepeated = request.cursor !== null && chain.hasServed(encoded);
    if (isRepeated && storedCursor !== null && this.#questions.mayBeginAnew(this.byTime))
      return this.#cursors.beginAnew('the API repeats itself', asked, this.byTime);
    const contradiction = this.#checks.contradictionOf(request, encoded);
    // The page is good when the walk can go on by its times.
    if (contradiction !== null && (!this.byTime.hasAnchors || encoded.times === null)) {
      return this.#askAgain(request, 'contradiction', contradiction, asked, true);
    }
    const word = readWord(request, encoded, traits);
    traits.hasFlag ||= encoded.envelope.hasMore !== null;
    const lack = this.#checks.findLack(request, encoded, word);
    if (lack !== null) return this.#askDifferently(request, 'lost-events', lack, asked, true);
    const { doubt, question } = this.#questions.about(request, encoded, word, this);
    const isFollowed = question === 'follow';
    const pastEnd = encoded.envelope.supposesEnd === true ? 'supposed' : 'said';
    // Events are taken in, and what lies behind them is asked by time, or from above.
    const isUnsaid = (question === 'ask-by-time' || question === 'look') && encoded.servedCount > 0;
    if (doubt !== null && question !== 'stands' && !isFollowed && !isUnsaid)
      return this.#askAboutEnd(request, doubt, question, asked);

    await this.#dividing;
    permit.resize(encoded.bodyBytes + encoded.rows.byteLength);
    noteEventBytes(traits, encoded);
    position.note(encoded);
    const next = nextPage(request, raw, contradiction === null ? encoded.envelope : null);
    // An endpoint that takes no upper bound begins at the top of all.
    const startsAbove = !this.byTime.bounds.until && traits.isOrderedByTime && position.isAboveWindow(encoded);
    if (word === 'more' && startsAbove) {
      chain.noteSkipped(encoded);
      return { kind: 'skip', next: { ...next, page: request.page } };
    }
    const isMore = word === 'more' || isFollowed;
    const isBelow = isMore && position.reachesBelow(encoded);
    const isCapped = !isMore && chain.isCutAt(traits.cap, encoded.servedCount, this.byTime);
    const isAskedByTime = isUnsaid || (isBelow && this.#mustAskByTime(request)) || (isCapped && this.byTime.hasAnchors);
    if (isAskedByTime) position.approachEnd(encoded.servedCount);
    // Where the API does not end a window itself, the window ends below its bound.
    const isPast = !isAskedByTime && isBelow && traits.isOrderedByTime && position.isPastWindow(encoded);
    const isEnd = !isAskedByTime && (!isMore || isPast);
    const look = question === 'look' ? chain.lookFromAbove(request, encoded, doubt?.isStrong === true) : null;
    chain.noteAccepted(request, encoded);
    if (request.keepsEnds === true) limit.restore();
    else limit.grow();
    const mayLackEvents = noteFailureWords(traits, word, encoded.envelope.speaksOfError) || isRepeated;
    traits.hasMetCap ||= isEnd && isCapped;
    const suspect = contradiction !== null || mayLackEvents;
    const isDoubtful = (isEnd && (isCapped || doubt?.isStrong === true)) || mayLackEvents;
    return {
      kind: isEnd ? 'end' : 'advance',
      raw,
      encoded,
      brought: { ...this.#count(request, raw, encoded, { isRepeated, isEnd }), isDoubtful, suspect },
      next:
        look ?? (isAskedByTime ? { ...next, ...NO_CURSOR } : { ...next, pastEnd: isFollowed ? pastEnd : undefined }),
    };
  }

  /** Beside a cursor the API does not mind the bound. Asked by time, it shows whether more lies above it. */
  #mustAskByTime({ cursor }: PageRequest): boolean {
    const { sinceMs, servedToMs } = this.#walk.position;
    const { bounds, hasAnchors } = this.byTime;
    if (!hasAnchors || !bounds.since || (this.#chainSinceMs === sinceMs && cursor === null)) return false;
    const wasAsked = this.#chainSinceMs === sinceMs && this.#askedAboveBoundMs === servedToMs;
    this.#askedAboveBoundMs = servedToMs;
    return !wasAsked;
  }

  /** @param how `isRepeated`: the page stands where another was to come, so its events are no new places */
  #count(
    request: PageRequest,
    raw: RawPage,
    encoded: EncodedPage,
    { isRepeated, isEnd }: Readonly<Record<'isRepeated' | 'isEnd', boolean>>,
  ): Pick<Brought, 'counts' | 'edge'> {
    const { position, windowId } = this.#walk;
    const { sinceMs, untilMs } = position;
    const { bounds } = this.byTime;
    const isBounded = (bounds.since || bounds.until) && !isOpen(request);
    const place = { windowId, page: request.page, sinceMs, untilMs };
    const marks = this.#options.marks({ ...place, isBounded, isEnd, raw, encoded });
    const { isOrderedByTime, widenedMs } = this.#options.traits;
    const beginsInstant = encoded.envelope.mayBeginAgain === true;
    const range = { sinceMs, untilMs, isOrderedByTime, widenedMs, beginsInstant };
    const { added, ...counts } = position.counter.count(encoded.places, range, marks);
    return { counts: isRepeated ? NO_PLACES : counts, edge: added };
  }

  async #askAboutEnd(
    request: PageRequest,
    { words, isStrong }: EndDoubt,
    question: Exclude<Question, 'stands'>,
    asked: NextPage,
  ): Promise<Step> {
    if (question === 'top' || question === 'below') this.emptyWindow.wasAskedAbout = true;
    const { chain } = this.#walk;
    const from = question === 'look' ? chain.lookFromAbove(request, null, isStrong, asked) : null;
    const look = question === 'look-under' ? chain.lookUnder(request.page) : from;
    if (look !== null) return { kind: 'retry', next: look, suspect: false };
    if (question === 'begin-anew') return this.#cursors.beginAnew(words, asked, this.byTime);
    if (question === 'ask-again') return this.#askDifferently(request, 'doubtful-end', words, asked, false);
    if (question === 'ask-by-time') this.#walk.position.approachEnd(this.#walk.chain.latestPage);
    // Fewer than what it gave, whatever was asked for. What follows begins with the last of these events then.
    if (question === 'ask-smaller') this.#walk.limit.shrinkTo(this.#walk.chain.latestPage - 1);
    const across = question === 'top' || question === 'below' ? question : undefined;
    return { kind: 'retry', next: { ...asked, ...NO_CURSOR, across }, suspect: false };
  }

  /** As {@link #askAgain}, with another limit: the answer must not come from a cache. */
  #askDifferently(...again: AskedAgain): Promise<Step> {
    this.#walk.limit.reduce();
    return this.#askAgain(...again);
  }

  /** Waits before the page is asked for again. @throws GaveUpError when it was faulty too often */
  async #askAgain(...[request, fault, detail, next, suspect]: AskedAgain): Promise<Step> {
    await this.#options.client.reportFaultyPage(request, fault, detail);
    return { kind: 'retry', next, suspect };
  }
}
