/**
 * Reads one window: a chain of pages from its newest event to its oldest.
 *
 *   ask ──▶ page n arrives ──▶ a worker encodes it ──▶ judged ──▶ accepted, in order ──▶ its COPY is not waited for
 *              └─▶ its next cursor is guessed, and page n+1 asked for meanwhile
 *
 * Three rules keep it exact. First, a page is accepted only after the page before it, and the answer to a wrong guess is
 * thrown away: so page numbers have no gap. Second, the position decides, not the cursor: if the cursor is too old, the walk
 * goes on by time (`until`). Where that is impossible, or a page shows that the order is not that of the times, the run is
 * walked as one chain from the top. Third, only the API's own word ends a chain: see walk/answer-judge.ts.
 */
import { NO_CURSOR, type ApiClient, type PageAnswer, type PageRequest, type RawPage } from '../api/api-client.ts';
import type { AcceptedPage } from '../core/accepted-page.ts';
import type { InFlightLimit, Permit } from '../core/in-flight-limit.ts';
import type { LedgerEntry, WindowState } from '../core/state.ts';
import type { PageEncoder } from '../threads/page-encoder.ts';
import { AnswerJudge, BYTES_PER_BODY_BYTE } from './walk/answer-judge.ts';
import { BrokenEventSearch } from './walk/broken-event-search.ts';
import { Chain } from './walk/chain.ts';
import { isFor, nextPage, type NextPage } from './walk/cursor-age.ts';
import type { FirstAnswer } from './walk/first-answer.ts';
import { EmptyRanges } from './walk/empty-ranges.ts';
import { askForPage, type Asked } from './walk/page-ask.ts';
import type { JudgeOptions } from './walk/judged-walk.ts';
import { PageLimit } from './walk/page-limit.ts';
import type { Step } from './walk/step.ts';
import { WalkPosition } from './walk/walk-position.ts';
import { WorkerDeathSearch } from './walk/worker-death-search.ts';

export interface ReaderOptions extends JudgeOptions {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
  readonly inFlight: InFlightLimit;
  readonly pageSize: number;
  readonly first?: FirstAnswer | undefined;
  /** Takes the page over, in order; returns when the next may follow. */
  readonly accept: (page: AcceptedPage) => Promise<void>;
  /** True when no further page shall be asked for. */
  readonly isStopping: () => boolean;
}

export interface ReaderOrigin {
  readonly splitFrom?: number;
  /** Events less than a full page to ask for, so that no answer comes from the API's cache. */
  readonly limitReduction?: number;
  /** A guess, before the first page tells. */
  readonly eventsPerMs?: number | null;
  /** It is the run's only window: nothing but cursors and the API's own bounds decide what it brings. */
  readonly isWhole?: boolean;
  /** An earlier walk was served events that lie in the window. */
  readonly isInhabited?: boolean;
  /** Shared with the walks beside it. */
  readonly emptyRanges?: EmptyRanges;
}

/** stopped: on request. needs-chain: only one chain from the top can go on; the log says why. */
export type WalkOutcome = 'complete' | 'stopped' | 'needs-chain';

export class ApiStreamReader {
  readonly windowId: number;
  readonly splitFrom: number | null;
  readonly #options: ReaderOptions;
  /** Where the walk is inside its window. */
  readonly position: WalkPosition;
  readonly #chain: Chain;
  readonly #judge: AnswerJudge;
  #next: NextPage;
  #complete: boolean;
  /** Something after the last accepted page may have lost events. The next accepted page is marked for it. */
  #suspect = false;
  #isAskedAhead = false;
  /** While it is: a page asked for now would have the bound of before, and reach into the part that is given away. */
  #isBeingDivided = false;

  constructor(state: WindowState, options: ReaderOptions, origin: ReaderOrigin = {}) {
    const { pageSize } = options;
    const { windowId, safePages, cursorFrom, cursorLimit, cursorReceivedAtMs } = state;
    this.#options = options;
    this.windowId = windowId;
    this.splitFrom = origin.splitFrom ?? null;
    const position = new WalkPosition(state, { pageSize, eventsPerMs: origin.eventsPerMs ?? null });
    const limit = new PageLimit(pageSize, origin.limitReduction ?? 0, options.traits);
    const chain = new Chain(state, position, limit, options.traits);
    const survivors = new WorkerDeathSearch(options.encoder, limit, options.logger);
    const encoder = new BrokenEventSearch(survivors, limit, options);
    this.position = position;
    this.#chain = chain;
    const isInhabited = origin.isInhabited === true;
    const isWhole = origin.isWhole === true && safePages === 0;
    const cursor = cursorFrom === null ? null : state.cursor;
    const { emptyRanges = new EmptyRanges() } = origin;
    const walk = { windowId, position, chain, limit, encoder, emptyRanges, isInhabited, storedCursor: cursor };
    this.#judge = new AnswerJudge(options, walk, isWhole);
    const knownCursor = {
      cursor,
      cursorReceivedAtMs,
      cursorLifeMs: null,
      cursorFrom: cursorFrom ?? undefined,
      cursorLimit,
    };
    this.#next = { page: safePages + 1, ...knownCursor };
    this.#complete = state.complete;
  }

  /** Accepted so far. */
  get pages(): number {
    return this.#next.page - 1;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /**
   * The window ended without an event, and no answer came from below it: where others were served events there, that is no end.
   */
  get isUnanswered(): boolean {
    return this.#complete && this.position.servedToMs === null && this.#judge.emptyWindow.isUnanswered;
  }

  /** Nothing was served in it, and it is being asked whether that is so. */
  get looksEmpty(): boolean {
    return this.position.servedToMs === null && this.#judge.emptyWindow.wasAskedAbout;
  }

  /** Asked for, and not taken in yet. */
  get pagesUnderWay(): number {
    return this.#isAskedAhead ? 2 : 1;
  }

  /** Holds the next page until the window is divided: it counts only what stays the window's own. */
  divideWhile(dividing: Promise<unknown>): void {
    this.#isBeingDivided = true;
    this.#judge.divideWhile(
      dividing.finally(() => {
        this.#isBeingDivided = false;
      }),
    );
  }

  /**
   * Walks to the end. Every page goes to `accept`, in order.
   * @throws GaveUpError, KeyRefusedError, the signal's reason
   */
  async walk(signal: AbortSignal): Promise<WalkOutcome> {
    let ahead: Asked | null = null;
    try {
      while (!this.#complete) {
        if (ahead === null && this.#options.isStopping()) return 'stopped';
        if (this.#next.cursor === null && !this.#judge.canBegin(this.#next.page)) return 'needs-chain';
        const { request, result }: Asked = ahead ?? this.#ask(this.#next, signal);
        ahead = null;
        const { answer, permit } = await result;
        if (answer.kind === 'page')
          ahead = this.#askAhead({ ...request, limit: answer.page.limit }, answer.page, signal);
        this.#isAskedAhead = ahead !== null;
        const step = await this.#take(request, answer, permit);
        this.#isAskedAhead = false;
        if (step === 'needs-chain') return 'needs-chain';
        // What was asked ahead is right only when the worker has read the cursor that was guessed.
        if (ahead !== null && !isFor(ahead.request, this.#next)) {
          ahead.abandon();
          ahead = null;
        }
      }
      return 'complete';
    } finally {
      ahead?.abandon();
    }
  }

  /** Judges an answer, and carries out what follows from it. The permit goes on with the page, or is released. */
  async #take(request: PageRequest, answer: PageAnswer, permit: Permit): Promise<Step['kind']> {
    let isAccepted = false;
    try {
      const step = await this.#judge.judge(request, answer, permit, this.#next);
      if (step.kind === 'needs-chain') return step.kind;
      this.#next = step.next;
      if (step.kind === 'retry') this.#suspect ||= step.suspect;
      if (step.kind === 'advance' || step.kind === 'end') {
        this.#complete = step.kind === 'end';
        request.signal.throwIfAborted();
        isAccepted = true;
        const { raw, encoded } = step;
        await this.#options.accept({ raw, encoded, ledger: this.#ledgerEntry(request, step), permit });
      }
      return step.kind;
    } finally {
      if (!isAccepted) permit.release();
    }
  }

  #ask(next: NextPage, signal: AbortSignal): Asked {
    const request = this.#chain.request(next, this.#judge.byTime);
    const expectedBytes = request.limit * this.#options.traits.eventBytes * BYTES_PER_BODY_BYTE;
    return askForPage(this.#options, request, expectedBytes, signal);
  }

  /** Asks for the next page by a guessed cursor while a worker encodes this one; `null` where that is likely to be useless. */
  #askAhead(request: PageRequest, raw: RawPage, signal: AbortSignal): Asked | null {
    // Below its window the walk needs nothing, but the API may go on serving: so nothing is asked ahead near the end.
    if (this.#options.isStopping() || this.position.isNearEnd || this.#next.look !== undefined) return null;
    if (this.#isBeingDivided) return null;
    const cursor = this.#options.client.wire.guessCursor(raw);
    if (cursor === null || cursor === request.cursor) return null;
    const envelope = { nextCursor: cursor, cursorLifeMs: request.cursorLifeMs };
    return this.#ask(nextPage(request, raw, envelope), signal);
  }

  /** The row of the ledger for a page that was taken in: where the walk goes on behind it. */
  #ledgerEntry({ page, cursor }: PageRequest, { encoded, brought }: Step & { kind: 'advance' | 'end' }): LedgerEntry {
    const suspect = this.#suspect || brought.suspect;
    this.#suspect = false;
    // What is only looked at is no place to go on from.
    const next = this.#next.look === undefined ? this.#next : NO_CURSOR;
    return {
      ...brought,
      windowId: this.windowId,
      page,
      nextCursor: next.cursor,
      cursorReceivedAtMs: next.cursorReceivedAtMs,
      cursorFrom: next.cursorFrom ?? null,
      cursorLimit: next.cursorLimit ?? null,
      anchorMs: this.position.anchorMs,
      lastEventMs: this.position.walkedToMs,
      endsWindow: this.#complete,
      suspect,
      isContinued: cursor !== null,
      oldestMs: encoded?.times?.oldestMs ?? null,
      pageEndMs: encoded?.times?.lastMs ?? null,
      served: encoded?.servedCount ?? 0,
      loaded: encoded?.rowCount ?? 0,
      rejected: encoded?.rejectedCount ?? 0,
      repaired: encoded?.repairedCount ?? 0,
    };
  }
}
