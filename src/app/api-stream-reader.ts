/**
 * Reads one window: a chain of pages from its newest event to its oldest.
 *
 *   ask ──▶ page n arrives ──▶ a worker encodes it ──▶ judged ──▶ accepted, in order ──▶ its COPY is not waited for
 *              └─▶ its next cursor is guessed, and page n+1 asked for meanwhile
 *
 * Two rules keep it exact. First, a page is accepted only after the page before it, and the answer to a wrong guess is
 * thrown away: so page numbers have no gap. Second, the position decides, not the cursor: if the cursor is too old, the walk
 * goes on by time (`until`); where the endpoint has no time bounds, it starts from the top and skips what was accepted.
 */
import { NO_CURSOR, type ApiClient, type PageAnswer, type PageRequest, type RawPage } from '../api/api-client.ts';
import type { AcceptedPage } from '../core/accepted-page.ts';
import type { EncodedPage } from '../core/encoded-page.ts';
import type { InFlightLimit, Permit } from '../core/in-flight-limit.ts';
import type { Logger } from '../core/logging.ts';
import type { LedgerEntry, WindowState } from '../core/state.ts';
import type { PageEncoder } from '../threads/page-encoder.ts';
import { Chain } from './walk/chain.ts';
import { guessNextCursor } from './walk/cursor-guess.ts';
import {
  describeContradiction,
  ignoresTimeBounds,
  noteEventBytes,
  type EndpointTraits,
} from './walk/endpoint-traits.ts';
import { isFor, isTrusted, nextPage, type NextPage } from './walk/cursor-age.ts';
import { eventTooLarge } from './walk/no-progress.ts';
import { askForPage, type Asked } from './walk/page-ask.ts';
import { PageLimit } from './walk/page-limit.ts';
import { WalkPosition } from './walk/walk-position.ts';
import { WorkerDeathSearch } from './walk/worker-death-search.ts';

/** Body and rows of a page are both in memory until its COPY has committed. */
const BYTES_PER_BODY_BYTE = 2;

export interface ReaderOptions {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
  readonly inFlight: InFlightLimit;
  readonly traits: EndpointTraits;
  readonly pageSize: number;
  readonly logger: Logger;
  /** Takes the page over, in order; returns when the next may follow. */
  readonly accept: (page: AcceptedPage) => Promise<void>;
  /** True when no further page shall be asked for. */
  readonly isStopping: () => boolean;
  /** True when every other window is complete: there is none to join this one with. */
  readonly isAlone: () => boolean;
  readonly onRetry: (kind: string) => void;
}

export interface ReaderOrigin {
  readonly splitFrom?: number;
  /** Events less than a full page to ask for, so that no answer comes from the API's cache. */
  readonly limitReduction?: number;
  /** A guess, before the first page tells. */
  readonly eventsPerMs?: number | null;
}

/** stopped: on request. needs-chain: the endpoint has no time bounds, and the window has no living cursor. */
export type WalkOutcome = 'complete' | 'stopped' | 'needs-chain';

/** What one answer came to, and so what the walk does next. */
type Step =
  /** The page is accepted, and the walk goes on behind it (`advance`) or is over (`end`). */
  | {
      readonly kind: 'advance' | 'end';
      readonly raw: AcceptedPage['raw'];
      readonly encoded: EncodedPage | null;
      readonly next: NextPage;
      readonly suspect: boolean;
    }
  /** An earlier chain has brought this page already: passed over. */
  | { readonly kind: 'skip'; readonly next: NextPage }
  /** The same page is asked for again. `suspect`: what went wrong can have cost events. */
  | { readonly kind: 'retry'; readonly suspect: boolean }
  | { readonly kind: 'needs-chain' };

export class ApiStreamReader {
  readonly windowId: number;
  readonly splitFrom: number | null;
  readonly #options: ReaderOptions;
  /** Where the walk is inside its window. */
  readonly position: WalkPosition;
  readonly #limit: PageLimit;
  readonly #chain: Chain;
  readonly #encoder: WorkerDeathSearch;
  #next: NextPage;
  #complete: boolean;
  /** Something after the last accepted page may have lost events. The next accepted page is marked for it. */
  #suspect = false;

  constructor(state: WindowState, options: ReaderOptions, origin: ReaderOrigin = {}) {
    const { pageSize } = options;
    this.#options = options;
    this.windowId = state.windowId;
    this.splitFrom = origin.splitFrom ?? null;
    this.position = new WalkPosition(state, { pageSize, eventsPerMs: origin.eventsPerMs ?? null });
    this.#limit = new PageLimit(pageSize, origin.limitReduction ?? 0);
    this.#chain = new Chain(state.windowId, this.position, this.#limit);
    this.#encoder = new WorkerDeathSearch(options.encoder, this.#limit, options.logger);
    const { safePages, cursor, cursorReceivedAtMs } = state;
    this.#next = { page: safePages + 1, cursor, cursorReceivedAtMs, cursorLifeMs: null };
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
   * Walks to the end. Every page goes to `accept`, in order.
   * @throws GaveUpError, KeyRefusedError, the signal's reason
   */
  async walk(signal: AbortSignal): Promise<WalkOutcome> {
    let ahead: Asked | null = null;
    try {
      while (!this.#complete) {
        if (ahead === null && this.#options.isStopping()) return 'stopped';
        const { request, result }: Asked = ahead ?? this.#ask(this.#next, signal);
        ahead = null;
        const { answer, permit } = await result;
        if (answer.kind === 'page') ahead = this.#askAhead(request, answer.page, signal);
        if ((await this.#take(request, answer, permit)) === 'needs-chain') return 'needs-chain';
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
      const step = await this.#judge(request, answer, permit);
      switch (step.kind) {
        case 'advance':
        case 'end': {
          const suspect = this.#suspect || step.suspect;
          this.#suspect = false;
          this.#next = step.next;
          this.#complete = step.kind === 'end';
          request.signal.throwIfAborted();
          isAccepted = true;
          const { raw, encoded } = step;
          const ledger = this.#ledgerEntry(request.page, encoded, suspect);
          await this.#options.accept({ raw, encoded, ledger, permit });
          break;
        }
        case 'skip':
          this.#next = step.next;
          break;
        case 'retry':
          this.#suspect ||= step.suspect;
          break;
        case 'needs-chain':
          break;
      }
      return step.kind;
    } finally {
      if (!isAccepted) permit.release();
    }
  }

  async #judge(request: PageRequest, answer: PageAnswer, permit: Permit): Promise<Step> {
    switch (answer.kind) {
      case 'page':
        return this.#judgePage(request, answer.page, permit);
      case 'outside-range': {
        // The API says that nothing lies in these bounds: the window ends with a page that has no events.
        const next = { page: request.page + 1, ...NO_CURSOR };
        const raw = { receivedAtMs: Date.now(), serverDateMs: null, bodyBytes: 0 };
        permit.resize(0);
        return { kind: 'end', raw, encoded: null, next, suspect: false };
      }
      case 'stale-cursor':
        return this.#dropCursor(answer.detail);
      case 'endpoint-changed':
        return isTrusted(this.#next) || this.#options.isAlone()
          ? { kind: 'retry', suspect: true }
          : { kind: 'needs-chain' };
      case 'too-large':
        if (request.limit <= 1) throw eventTooLarge(request);
        this.#limit.shrink(2);
        this.#options.onRetry('too-large');
        return { kind: 'retry', suspect: false };
    }
  }

  async #judgePage(request: PageRequest, raw: RawPage, permit: Permit): Promise<Step> {
    permit.resize(raw.bodyBytes * BYTES_PER_BODY_BYTE);
    const encoded = await this.#encoder.encode(request, raw);
    if (encoded.status === 'faulty') return this.#waitToAskAgain(request, encoded.fault, encoded.detail);
    if (ignoresTimeBounds(request, encoded)) {
      // Every window would walk all of the data.
      this.#options.traits.supportsTimeBounds = false;
      this.#options.logger.warn({ window: this.windowId }, 'the endpoint ignores time windows; walking one chain');
      return { kind: 'needs-chain' };
    }
    const contradiction = describeContradiction(request, encoded.envelope);
    if (contradiction !== null) {
      this.#chain.noteBroken(contradiction);
      this.#options.logger.warn({ window: this.windowId, page: request.page }, `contradiction: ${contradiction}`);
      // The page is good when the walk can go on by its times.
      if (!this.#supportsTimeBounds || encoded.times === null) {
        return this.#waitToAskAgain(request, 'contradiction', contradiction, true);
      }
    }
    permit.resize(encoded.bodyBytes + encoded.rows.byteLength);
    noteEventBytes(this.#options.traits, encoded);
    this.#chain.noteServed(encoded);
    this.position.note(encoded);
    const next = nextPage(request, raw, contradiction === null ? encoded.envelope : null);
    const isPastWindow = this.position.isPastWindow(encoded);
    const { hasMore, nextCursor } = encoded.envelope;
    // No flag and no cursor: the walk takes the page for its last, and marks it, so that the window is walked again if events are missing.
    const hasNoFlag = hasMore === null && nextCursor === null;
    const ends = hasMore === false || hasNoFlag || isPastWindow;
    if (!ends && this.#chain.isSkipping && this.position.isAboveAnchor(encoded)) {
      return { kind: 'skip', next: { ...next, page: request.page } };
    }
    this.#chain.noteAccepted(request, encoded);
    this.#limit.grow();
    return { kind: ends ? 'end' : 'advance', raw, encoded, next, suspect: contradiction !== null || hasNoFlag };
  }

  /** Waits before the page is asked for again. @throws GaveUpError when it was faulty too often */
  async #waitToAskAgain(request: PageRequest, fault: string, detail: string, suspect = false): Promise<Step> {
    await this.#options.client.reportFaultyPage(request, fault, detail);
    return { kind: 'retry', suspect };
  }

  /** The cursor is stale: the walk goes on by time, or from the top where the endpoint has no time windows. */
  #dropCursor(detail: string): Step {
    const { logger, onRetry, isAlone } = this.#options;
    this.#chain.noteBroken(detail);
    onRetry('stale-cursor');
    const where = { window: this.windowId, page: this.#next.page };
    this.#next = { ...this.#next, ...NO_CURSOR };
    if (this.#supportsTimeBounds) {
      logger.debug({ ...where, until: this.position.topMs }, `a cursor is stale; going on by time: ${detail}`);
    } else if (isAlone()) {
      logger.warn(where, `a cursor is stale and this endpoint has no time windows; walking from the top: ${detail}`);
    } else {
      return { kind: 'needs-chain' };
    }
    return { kind: 'retry', suspect: true };
  }

  get #supportsTimeBounds(): boolean {
    return this.#options.client.endpoint === 'stream' && this.#options.traits.supportsTimeBounds;
  }

  #ask(next: NextPage, signal: AbortSignal): Asked {
    const request = this.#chain.request(next, this.#supportsTimeBounds);
    const expectedBytes = request.limit * this.#options.traits.eventBytes * BYTES_PER_BODY_BYTE;
    return askForPage(this.#options, request, expectedBytes, signal);
  }

  /** Asks for the next page by a guessed cursor while a worker encodes this one; `null` where that is likely to be useless. */
  #askAhead(request: PageRequest, raw: RawPage, signal: AbortSignal): Asked | null {
    // Below its window the walk needs nothing, but the API may go on serving: so nothing is asked ahead near the end.
    if (this.#options.isStopping() || this.#chain.isSkipping || this.position.isNearEnd) return null;
    const cursor = guessNextCursor(raw);
    if (cursor === null || cursor === request.cursor) return null;
    return this.#ask(nextPage(request, raw, { nextCursor: cursor, cursorLifeMs: request.cursorLifeMs }), signal);
  }

  /** The row of the ledger for a page that was taken in: where the walk goes on behind it. */
  #ledgerEntry(page: number, encoded: EncodedPage | null, suspect: boolean): LedgerEntry {
    return {
      windowId: this.windowId,
      page,
      nextCursor: this.#next.cursor,
      cursorReceivedAtMs: this.#next.cursorReceivedAtMs,
      anchorMs: this.position.anchorMs,
      lastEventMs: this.position.walkedToMs,
      endsWindow: this.#complete,
      suspect,
      lastEventId: encoded?.lastEventId ?? null,
      oldestMs: encoded?.times?.oldestMs ?? null,
      served: encoded?.servedCount ?? 0,
      loaded: encoded?.rowCount ?? 0,
      rejected: encoded?.rejectedCount ?? 0,
      repaired: encoded?.repairedCount ?? 0,
    };
  }
}
