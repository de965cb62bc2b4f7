/**
 * Reads one window: a chain of pages from its newest event to its oldest.
 *
 *   ask ──▶ page n arrives ──▶ worker encodes it ──▶ checked, accepted in order ──▶ COPY (not waited for)
 *              └─▶ its tail names the next cursor: page n+1 is asked for meanwhile
 *
 * Two rules keep it exact. A page is accepted only after the page before it was: a page that turns out to be none takes
 * the one asked for behind it along, so the numbers in the ledger never have a gap that nobody fills. And the cursor is a
 * shortcut, the position is the truth: a cursor that is too old is replaced by a time (`until`) where the endpoint honours
 * windows, else by walking from the top again and skipping what was accepted already.
 */
import type { EncodedPage, PageEnvelope } from '../../workers/protocol.ts';
import { GaveUpError, WorkerDiedError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import type { LedgerEntry, WindowState } from '../core/state.ts';
import type { ApiClient, PageAnswer, PageRequest, RawPage } from './api-client.ts';
import type { FlightBudget, FlightPlace } from './flight-budget.ts';
import type { PageEncoder } from './page-encoder.ts';
import { ChainProgress } from './chain-progress.ts';

/** A cursor lives 116 s: an older one is not worth a request where a time does as well. */
const CURSOR_TRUSTED_MS = 100_000;
/** A page out of the API's cache can be as old as the cache. */
const CACHE_LIFE_MS = 30_000;
/** Walks from the top that end in a stale cursor before anything new was accepted. */
const MAX_VAIN_RESTARTS = 5;
/** A page with fewer events than this needs a second one to prove that the walk has left its window. */
const TELLING_EVENTS = 10;
/** What makes the time that a page spans suspicious: so long, and so many pages' worth at the pace of the page before. */
const JUMP_MS = 86_400_000;
const JUMP_PAGES = 50;
/** Body and rows of a page are both in memory until its COPY has committed. */
const BYTES_PER_BODY_BYTE = 2;
const FIRST_GUESS_EVENT_BYTES = 400;

/** A page that passed all checks: from here on it is the loader's, who releases its place. */
export interface AcceptedPage {
  readonly raw: Pick<RawPage, 'receivedAtMs' | 'serverDateMs' | 'bodyBytes'>;
  /** `null` when there was no page: the API says that nothing lies in the window. */
  readonly encoded: EncodedPage | null;
  readonly ledger: LedgerEntry;
  readonly place: FlightPlace;
}

/** What was learned about the endpoint; shared by all walks of a run. */
export interface EndpointTraits {
  /** Whether `since` and `until` select a window. */
  honoursWindows: boolean;
  /** Whether `since` counts when a cursor is sent with it. */
  honoursSinceWithCursor: boolean;
  /** Largest seen, bytes. */
  eventBytes: number;
}

export function unknownTraits(): EndpointTraits {
  return { honoursWindows: true, honoursSinceWithCursor: true, eventBytes: FIRST_GUESS_EVENT_BYTES };
}

export interface ReaderOptions {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
  readonly budget: FlightBudget;
  readonly traits: EndpointTraits;
  readonly pageSize: number;
  readonly logger: Logger;
  /** Takes the page over, in order; returns when the next may follow. */
  readonly accept: (page: AcceptedPage) => Promise<void>;
  /** True when no further page shall be asked for. */
  readonly isStopping: () => boolean;
  readonly onRetry: (kind: string) => void;
}

/**
 * complete: walked to its end. stopped: on request. needs-chain: the stream endpoint is gone, and no cursor lives by
 * which this window could be walked on the other one.
 */
export type WalkOutcome = 'complete' | 'stopped' | 'needs-chain';

interface Asked {
  readonly request: PageRequest;
  readonly result: Promise<{ answer: PageAnswer; place: FlightPlace }>;
  readonly abandon: () => void;
}

/** Where the next request starts. */
interface Position {
  readonly page: number;
  readonly cursor: string | null;
  readonly cursorReceivedAtMs: number | null;
}

export class ApiStreamReader {
  readonly windowId: number;
  readonly splitFrom: number | null;
  readonly untilMs: number | null;
  readonly #options: ReaderOptions;
  readonly #progress = new ChainProgress();
  #sinceMs: number | null;
  #position: Position;
  #anchorMs: number | null;
  #walkedToMs: number | null;
  #eventsPerMs: number | null = null;
  #suspect: boolean;
  #complete: boolean;
  #limit: number;
  /** Asked differently after each restart: the same request again may be answered from the API's cache. */
  #limitReduction: number;
  #vainRestarts = 0;
  #skipping = false;
  #olderPages = 0;
  #workerDeaths = 0;
  #doubtedAnchorMs: number | null = null;

  constructor(state: WindowState, options: ReaderOptions, from: { splitFrom?: number; limitReduction?: number } = {}) {
    this.#options = options;
    this.windowId = state.windowId;
    this.splitFrom = from.splitFrom ?? null;
    this.untilMs = state.untilMs;
    this.#sinceMs = state.sinceMs;
    this.#position = {
      page: state.safePages + 1,
      cursor: state.cursor,
      cursorReceivedAtMs: state.cursorReceivedAtMs,
    };
    this.#anchorMs = state.anchorMs;
    this.#walkedToMs = state.lastEventMs ?? state.untilMs;
    this.#suspect = state.suspect;
    this.#complete = state.complete;
    this.#limit = options.pageSize;
    this.#limitReduction = from.limitReduction ?? 0;
  }

  get sinceMs(): number | null {
    return this.#sinceMs;
  }

  /** After a split: the rest below belongs to another window. What is on its way may reach below; the merge removes it. */
  set sinceMs(value: number | null) {
    this.#sinceMs = value;
  }

  /** How far down it has been read, epoch ms; `null` before the first page of a window without an upper bound. */
  get walkedToMs(): number | null {
    return this.#walkedToMs;
  }

  /** By the newest page; `null` before the first. */
  get eventsPerMs(): number | null {
    return this.#eventsPerMs;
  }

  get pages(): number {
    return this.#position.page - 1;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** Whether it can go on by a cursor that is likely to live. */
  get hasLiveCursor(): boolean {
    const { cursor, cursorReceivedAtMs } = this.#position;
    return cursor !== null && cursorReceivedAtMs !== null && Date.now() - cursorReceivedAtMs < CURSOR_TRUSTED_MS;
  }

  /**
   * Walks to the end. Every page goes to `accept`, in order.
   * @throws GaveUpError, KeyRefusedError, the signal's reason
   */
  async walk(signal: AbortSignal): Promise<WalkOutcome> {
    let next: Asked | null = null;
    try {
      for (;;) {
        if (this.#complete) return 'complete';
        if (next === null && this.#options.isStopping()) return 'stopped';
        const asked: Asked = next ?? this.#ask(this.#position, signal);
        next = null;
        const { answer, place } = await asked.result;
        if (answer.kind !== 'page') {
          place.release();
          if ((await this.#handle(asked.request, answer, signal)) === 'needs-chain') return 'needs-chain';
          continue;
        }
        const { page: raw } = answer;
        place.resize(raw.bodyBytes * BYTES_PER_BODY_BYTE);
        const encoding = this.#options.encoder.encode(this.windowId, asked.request.page, raw);
        encoding.catch(() => undefined);
        if (raw.envelope !== null) next = this.#askAhead(asked.request, raw, raw.envelope, signal);
        const following = await this.#settle(asked.request, raw, encoding, place, signal);
        // What was asked ahead is right only when the page is what its tail said.
        if (next !== null && !(following !== null && samePosition(following, next.request))) {
          next.abandon();
          next = null;
        }
      }
    } finally {
      next?.abandon();
    }
  }

  /** Checks a page when its encoding is done, and accepts it. Returns where the walk goes on, `null` when it is asked for again or the walk is over. */
  async #settle(
    request: PageRequest,
    raw: RawPage,
    encoding: ReturnType<PageEncoder['encode']>,
    place: FlightPlace,
    signal: AbortSignal,
  ): Promise<Position | null> {
    let taken = false;
    try {
      const encoded = await encoding;
      if (encoded.status === 'faulty') {
        await this.#askAgain(request, encoded.fault, encoded.detail);
        return null;
      }
      this.#workerDeaths = 0;
      const contradiction = describeContradiction(request, encoded.envelope);
      const canAnchor = this.#honoursWindows && encoded.times !== null;
      if (contradiction !== null) {
        this.#suspect = true;
        this.#options.logger.warn({ window: this.windowId, page: request.page }, `contradiction: ${contradiction}`);
        if (!canAnchor) {
          await this.#askAgain(request, 'contradiction', contradiction);
          return null;
        }
      }
      place.resize(encoded.bodyBytes + encoded.rows.byteLength);
      this.#checkWindows(request, encoded);
      this.#learn(request, encoded);
      const position = this.#positionAfter(request, raw, encoded, contradiction !== null);
      const ends = this.#endsWith(encoded);
      if (!ends && this.#skips(encoded)) {
        this.#position = { ...position, page: request.page };
        return this.#position;
      }
      this.#skipping = false;
      this.#vainRestarts = 0;
      this.#checkProgress(request, encoded);
      const ledger = this.#ledgerEntry(request, encoded, position, ends);
      this.#position = position;
      this.#complete = ends;
      this.#limit = Math.min(this.#options.pageSize, this.#limit * 2);
      signal.throwIfAborted();
      taken = true;
      await this.#options.accept({ raw, encoded, ledger, place });
      return ends ? null : position;
    } catch (error) {
      if (!(error instanceof WorkerDiedError)) throw error;
      await this.#onWorkerDeath(request, error);
      return null;
    } finally {
      if (!taken) place.release();
    }
  }

  get #honoursWindows(): boolean {
    return this.#options.client.endpoint === 'stream' && this.#options.traits.honoursWindows;
  }

  #ask(position: Position, outer: AbortSignal): Asked {
    const windows = this.#honoursWindows;
    let { cursor, cursorReceivedAtMs } = position;
    if (cursor !== null && windows && this.#anchorMs !== null && !this.#isTrusted(position)) {
      cursor = null;
      cursorReceivedAtMs = null;
    }
    const controller = new AbortController();
    const abort = (): void => {
      controller.abort(outer.reason);
    };
    outer.addEventListener('abort', abort, { once: true });
    if (outer.aborted) abort();
    const request: PageRequest = {
      windowId: this.windowId,
      page: position.page,
      limit: Math.max(1, this.#limit - this.#limitReduction),
      cursor,
      cursorReceivedAtMs,
      sinceMs: windows ? this.#sinceMs : null,
      untilMs: windows ? (cursor === null ? (this.#anchorMs ?? this.untilMs) : this.untilMs) : null,
      signal: controller.signal,
      reask: this.#limitReduction > 0,
    };
    if (cursor === null && !windows && (this.#anchorMs ?? this.untilMs) !== null) this.#skipping = true;
    const result = this.#fetch(request).finally(() => {
      outer.removeEventListener('abort', abort);
    });
    result.catch(() => undefined);
    return {
      request,
      result,
      abandon: () => {
        controller.abort(new AskedInVain());
        result.then(
          ({ place }) => {
            place.release();
          },
          () => undefined,
        );
      },
    };
  }

  async #fetch(request: PageRequest): Promise<{ answer: PageAnswer; place: FlightPlace }> {
    const { budget, client, traits } = this.#options;
    const place = await budget.acquire(request.limit * traits.eventBytes * BYTES_PER_BODY_BYTE, request.signal);
    try {
      return { answer: await client.fetchPage(request), place };
    } catch (error) {
      place.release();
      throw error;
    }
  }

  /** The next page's request leaves as soon as its cursor is known, unless it would probably be in vain. */
  #askAhead(request: PageRequest, raw: RawPage, envelope: PageEnvelope, signal: AbortSignal): Asked | null {
    const { nextCursor, hasMore } = envelope;
    if (hasMore !== true || nextCursor === null || nextCursor === request.cursor) return null;
    if (this.#options.isStopping() || this.#skipping || this.#nearEnd()) return null;
    return this.#ask({ page: request.page + 1, cursor: nextCursor, cursorReceivedAtMs: cursorArrival(raw) }, signal);
  }

  /** Where `since` does not end the walk by itself, the page behind the border would be asked for in vain. */
  #nearEnd(): boolean {
    const { traits, pageSize } = this.#options;
    if (this.#sinceMs === null || (this.#honoursWindows && traits.honoursSinceWithCursor)) return false;
    if (this.#walkedToMs === null || this.#eventsPerMs === null) return true;
    return this.#walkedToMs - (2 * pageSize) / this.#eventsPerMs < this.#sinceMs;
  }

  #isTrusted(position: Position): boolean {
    return position.cursorReceivedAtMs !== null && Date.now() - position.cursorReceivedAtMs < CURSOR_TRUSTED_MS;
  }

  /** Anything but a page. */
  async #handle(
    request: PageRequest,
    answer: Exclude<PageAnswer, { kind: 'page' }>,
    signal: AbortSignal,
  ): Promise<'go-on' | 'needs-chain'> {
    switch (answer.kind) {
      case 'stale-cursor':
        this.#onStaleCursor(answer.detail);
        return 'go-on';
      case 'outside-range':
        await this.#acceptNothing(request, signal);
        return 'go-on';
      case 'endpoint-changed':
        return this.hasLiveCursor ? 'go-on' : 'needs-chain';
      case 'too-large':
        if (request.limit <= 1) {
          throw new GaveUpError(
            `Window ${this.windowId}, page ${request.page}: a page of one event is larger than memory allows. ` +
              'Raise --max-bytes-in-flight. What was merged is safe.',
            { location: { windowId: this.windowId, page: request.page } },
          );
        }
        this.#limit = Math.max(1, Math.floor(request.limit / 2));
        this.#options.onRetry('too-large');
        return 'go-on';
    }
  }

  #onStaleCursor(detail: string): void {
    const { logger, onRetry } = this.#options;
    this.#suspect = true;
    onRetry('stale-cursor');
    const where = { window: this.windowId, page: this.#position.page };
    if (this.#honoursWindows) {
      logger.debug({ ...where, until: this.#anchorMs }, `a cursor is stale; going on by time: ${detail}`);
    } else {
      this.#vainRestarts += 1;
      this.#limitReduction = this.#vainRestarts;
      if (this.#vainRestarts > MAX_VAIN_RESTARTS) {
        throw new GaveUpError(
          `Window ${this.windowId} was walked from its top ${MAX_VAIN_RESTARTS} times, and each time the cursor was stale ` +
            `before anything new came: ${detail}. This endpoint cannot be asked by time. What was merged is safe; ` +
            'start again when requests come through faster.',
          { location: { windowId: this.windowId, page: this.#position.page } },
        );
      }
      logger.warn(where, `a cursor is stale and this endpoint has no time windows; walking from the top: ${detail}`);
    }
    this.#position = { ...this.#position, cursor: null, cursorReceivedAtMs: null };
  }

  async #askAgain(request: PageRequest, fault: string, detail: string): Promise<void> {
    this.#suspect = true;
    await this.#options.client.faultyPage(request, fault, detail);
  }

  /** Once more as it was, then in halves, until the event that kills workers stands alone. */
  async #onWorkerDeath(request: PageRequest, error: WorkerDiedError): Promise<void> {
    this.#workerDeaths += 1;
    this.#options.logger.error({ window: this.windowId, page: request.page, err: error.message }, 'a worker died');
    if (this.#workerDeaths > 1) this.#limit = Math.max(1, Math.floor(request.limit / 2));
    await this.#askAgain(request, 'worker-died', error.message);
  }

  #positionAfter(request: PageRequest, raw: RawPage, encoded: EncodedPage, mustAnchor: boolean): Position {
    const cursor = mustAnchor ? null : encoded.envelope.nextCursor;
    return {
      page: request.page + 1,
      cursor,
      cursorReceivedAtMs: cursor === null ? null : cursorArrival(raw),
    };
  }

  /** Checked, not believed: a page that begins above the time it was asked for comes from an endpoint without windows. */
  #checkWindows(request: PageRequest, encoded: EncodedPage): void {
    const { times } = encoded;
    if (request.cursor !== null || request.untilMs === null || times === null || !times.descending) return;
    if (times.lastMs <= request.untilMs + 2) return;
    this.#options.traits.honoursWindows = false;
    this.#skipping = true;
    this.#options.logger.warn({ window: this.windowId }, 'the endpoint ignores time windows; walking one chain');
  }

  /** Only a page whose times descend says where the walk is: one wrong clock must not make it jump. */
  #learn(request: PageRequest, encoded: EncodedPage): void {
    const { traits } = this.#options;
    const { times, servedCount, bodyBytes } = encoded;
    if (servedCount > 0) traits.eventBytes = Math.max(traits.eventBytes, Math.ceil(bodyBytes / servedCount));
    if (times === null) return;
    if (times.descending) {
      const spanMs = times.newestMs - times.lastMs;
      if (this.#mayAnchor(Math.ceil(times.lastMs), spanMs)) {
        this.#anchorMs = Math.ceil(times.lastMs);
        this.#walkedToMs = times.lastMs;
        this.#eventsPerMs = servedCount / Math.max(1, spanMs);
      }
      const since = this.#sinceMs;
      if (request.cursor !== null && since !== null && request.sinceMs === since && times.newestMs < since - 2) {
        traits.honoursSinceWithCursor = false;
      }
    }
  }

  /**
   * An anchor lies inside its window and above the one before. A page that suddenly spans far more time than the last
   * ends in a gap of the data or in an event with a wrong clock: it has to say the same twice.
   */
  #mayAnchor(anchorMs: number, spanMs: number): boolean {
    const inside =
      (this.#sinceMs === null || anchorMs >= this.#sinceMs - 1) &&
      (this.#anchorMs === null || anchorMs <= this.#anchorMs) &&
      (this.untilMs === null || anchorMs <= this.untilMs + 1);
    if (!inside) return false;
    const isJump =
      spanMs > JUMP_MS &&
      this.#eventsPerMs !== null &&
      spanMs * this.#eventsPerMs > JUMP_PAGES * this.#options.pageSize;
    if (isJump && this.#doubtedAnchorMs !== anchorMs) {
      this.#doubtedAnchorMs = anchorMs;
      return false;
    }
    return true;
  }

  #endsWith(encoded: EncodedPage): boolean {
    const { hasMore, nextCursor } = encoded.envelope;
    if (hasMore === false) return true;
    if (hasMore === null && nextCursor === null) {
      // No flag at all: believed, but looked at again when the run comes out short.
      this.#suspect = true;
      return true;
    }
    const since = this.#sinceMs;
    const isOlder = since !== null && encoded.times !== null && encoded.times.newestMs < since - 1;
    this.#olderPages = isOlder ? this.#olderPages + 1 : 0;
    return isOlder && (encoded.servedCount >= TELLING_EVENTS || this.#olderPages > 1);
  }

  /** After a restart from the top: pages that lie above the position have been accepted already. */
  #skips(encoded: EncodedPage): boolean {
    const bound = this.#anchorMs ?? this.untilMs;
    return this.#skipping && bound !== null && encoded.times !== null && encoded.times.oldestMs > bound + 1;
  }

  #checkProgress(request: PageRequest, encoded: EncodedPage): void {
    const vain = this.#progress.note(encoded);
    if (!vain) return;
    throw new GaveUpError(
      `Window ${this.windowId}, page ${request.page}: ${ChainProgress.MAX_VAIN_PAGES} pages in a row brought no new event` +
        (request.cursor === null
          ? ', although asked for by time: more events than a page holds share one instant, or the API repeats itself'
          : ': the API repeats itself') +
        `. What was merged is safe.`,
      { location: { windowId: this.windowId, page: request.page } },
    );
  }

  #ledgerEntry(request: PageRequest, encoded: EncodedPage, position: Position, ends: boolean): LedgerEntry {
    return {
      windowId: this.windowId,
      page: request.page,
      nextCursor: position.cursor,
      cursorReceivedAtMs: position.cursorReceivedAtMs,
      anchorMs: this.#anchorMs,
      lastEventMs: this.#walkedToMs,
      lastEventId: encoded.lastEventId,
      endsWindow: ends,
      suspect: this.#suspect,
      served: encoded.servedCount,
      loaded: encoded.rowCount,
      rejected: encoded.rejectedCount,
      repaired: encoded.repairedCount,
    };
  }

  /** The API says that nothing lies in these bounds: the window ends with a page that has no events. */
  async #acceptNothing(request: PageRequest, signal: AbortSignal): Promise<void> {
    const place = await this.#options.budget.acquire(0, signal);
    this.#complete = true;
    await this.#options.accept({
      raw: { receivedAtMs: Date.now(), serverDateMs: null, bodyBytes: 0 },
      encoded: null,
      place,
      ledger: {
        windowId: this.windowId,
        page: request.page,
        nextCursor: null,
        cursorReceivedAtMs: null,
        anchorMs: this.#anchorMs,
        lastEventMs: this.#walkedToMs,
        lastEventId: null,
        endsWindow: true,
        suspect: this.#suspect,
        served: 0,
        loaded: 0,
        rejected: 0,
        repaired: 0,
      },
    });
  }
}

/** Why a request asked ahead was given up. */
class AskedInVain extends Error {}

/** The age of a cursor counts from the moment its response arrived, or was put into the cache. */
function cursorArrival(raw: RawPage): number {
  return raw.receivedAtMs - (raw.fromCache ? CACHE_LIFE_MS : 0);
}

function samePosition(position: Position, request: PageRequest): boolean {
  return position.page === request.page && position.cursor === request.cursor;
}

function describeContradiction(request: PageRequest, envelope: PageEnvelope): string | null {
  if (envelope.hasMore === true && envelope.nextCursor === null) return 'the page says hasMore, but has no next cursor';
  if (envelope.nextCursor !== null && envelope.nextCursor === request.cursor && envelope.hasMore !== false) {
    return 'the next cursor is the one that was asked for';
  }
  return null;
}
