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
import type { EncodedPage, PageEnvelope } from '../core/encoded-page.ts';
import { WorkerDiedError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import type { WindowState } from '../core/state.ts';
import { ledgerEntry, type AcceptedPage } from '../core/accepted-page.ts';
import type { ApiClient, PageAnswer, PageRequest, RawPage } from '../api/api-client.ts';
import { ChainProgress } from './walk/chain-progress.ts';
import { noteEventBytes, type EndpointTraits } from './walk/endpoint-traits.ts';
import type { InFlightLimit, Permit } from '../core/in-flight-limit.ts';
import { isFor, isTrusted, nextPage, type NextPage } from './walk/next-page.ts';
import { askForPage, type Asked } from './walk/page-ask.ts';
import { describeContradiction, ignoresSinceWithCursor, ignoresWindows } from './walk/page-checks.ts';
import type { PageEncoder } from '../threads/page-encoder.ts';
import { PageLimit } from './walk/page-limit.ts';
import { TopRestarts } from './walk/top-restarts.ts';
import { eventTooLarge, noNewEvents, noProgress } from './walk/walk-errors.ts';
import { WalkPosition } from './walk/walk-position.ts';

export type { AcceptedPage } from '../core/accepted-page.ts';
export { unknownTraits, type EndpointTraits } from './walk/endpoint-traits.ts';

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
  /** Whether no other window is left: then nothing is won by waiting for the others to make one chain of all. */
  readonly isAlone: () => boolean;
  readonly onRetry: (kind: string) => void;
}

export interface ReaderOrigin {
  readonly splitFrom?: number;
  /** So many events less than a full page are asked for, so that no answer comes from what the API remembers. */
  readonly limitReduction?: number;
  /** A guess, before the first page tells. */
  readonly eventsPerMs?: number | null;
}

/**
 * complete: walked to its end. stopped: on request. needs-chain: it cannot be walked as a window (any more), and no
 * cursor lives by which it could go on.
 */
export type WalkOutcome = 'complete' | 'stopped' | 'needs-chain';

/** What became of a page that came: where the walk goes on, or null (asked for again, or the walk is over). */
type Settled = NextPage | null | 'needs-chain';

export class ApiStreamReader {
  readonly windowId: number;
  readonly splitFrom: number | null;
  readonly #options: ReaderOptions;
  readonly #position: WalkPosition;
  readonly #limit: PageLimit;
  readonly #restarts = new TopRestarts();
  #progress = new ChainProgress();
  #next: NextPage;
  #complete: boolean;
  /** Since the last accepted page something happened that can have cost events: the next one carries the mark. */
  #suspect = false;
  #skipping = false;
  #workerDeaths = 0;
  /** The last worker died of a page of one event. */
  #killsAlone = false;
  /** Why the last chain of cursors ended before its window. */
  #brokenBy: string | null = null;

  constructor(state: WindowState, options: ReaderOptions, origin: ReaderOrigin = {}) {
    const { pageSize } = options;
    this.#options = options;
    this.windowId = state.windowId;
    this.splitFrom = origin.splitFrom ?? null;
    this.#position = new WalkPosition(state, { pageSize, eventsPerMs: origin.eventsPerMs ?? null });
    this.#limit = new PageLimit(pageSize, origin.limitReduction ?? 0);
    this.#next = { page: state.safePages + 1, cursor: state.cursor, cursorReceivedAtMs: state.cursorReceivedAtMs };
    this.#complete = state.complete;
  }

  get untilMs(): number | null {
    return this.#position.untilMs;
  }

  get sinceMs(): number | null {
    return this.#position.sinceMs;
  }

  /** After a split: the rest below belongs to another window. What is on its way may reach below; the merge removes it. */
  set sinceMs(value: number | null) {
    this.#position.sinceMs = value;
  }

  /** How far down it has been read, epoch ms; `null` before the first page of a window without an upper bound. */
  get walkedToMs(): number | null {
    return this.#position.walkedToMs;
  }

  /** By the newest page, or a guess; `null` when nothing is known. */
  get eventsPerMs(): number | null {
    return this.#position.eventsPerMs;
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
      for (;;) {
        if (this.#complete) return 'complete';
        if (ahead === null && this.#options.isStopping()) return 'stopped';
        const asked: Asked = ahead ?? this.#ask(this.#next, signal);
        ahead = null;
        const { answer, permit } = await asked.result;
        if (answer.kind !== 'page') {
          permit.release();
          if ((await this.#handle(asked.request, answer, signal)) === 'needs-chain') return 'needs-chain';
          continue;
        }
        const { page: raw } = answer;
        permit.resize(raw.bodyBytes * BYTES_PER_BODY_BYTE);
        const encoding = this.#encode(asked.request, raw);
        encoding.catch(() => undefined);
        if (raw.envelope !== null) ahead = this.#askAhead(asked.request, raw, raw.envelope, signal);
        const settled = await this.#settle(asked.request, raw, encoding, permit, signal);
        if (settled === 'needs-chain') return 'needs-chain';
        // What was asked ahead is right only when the page is what its tail said.
        if (ahead !== null && !(settled !== null && isFor(ahead.request, settled))) {
          ahead.abandon();
          ahead = null;
        }
      }
    } finally {
      ahead?.abandon();
    }
  }

  /** Checks a page when its encoding is done, and accepts it. */
  async #settle(
    request: PageRequest,
    raw: RawPage,
    encoding: ReturnType<PageEncoder['encode']>,
    permit: Permit,
    signal: AbortSignal,
  ): Promise<Settled> {
    let isTaken = false;
    try {
      const encoded = await encoding;
      if (encoded.status === 'faulty') {
        await this.#askAgain(request, encoded.fault, encoded.detail);
        return null;
      }
      this.#endSearchForKiller();
      if (ignoresWindows(request, encoded)) return this.#onWindowsIgnored();
      const contradiction = describeContradiction(request, encoded.envelope);
      if (contradiction !== null && !(await this.#canPassOver(request, encoded, contradiction))) return null;
      permit.resize(encoded.bodyBytes + encoded.rows.byteLength);
      this.#learn(request, encoded);
      const following = nextPage(request, raw, contradiction === null ? encoded.envelope.nextCursor : null);
      const ends = this.#endsWith(encoded);
      if (!ends && this.#skipping && this.#position.isAboveAnchor(encoded)) {
        this.#next = { ...following, page: request.page };
        return this.#next;
      }
      this.#skipping = false;
      this.#checkProgress(request, encoded);
      const ledger = ledgerEntry(this.#afterPage(request.page, following, ends), encoded);
      this.#next = following;
      this.#complete = ends;
      this.#suspect = false;
      this.#limit.grow();
      signal.throwIfAborted();
      isTaken = true;
      await this.#options.accept({ raw, encoded, ledger, permit });
      return ends ? null : following;
    } catch (error) {
      if (!(error instanceof WorkerDiedError)) throw error;
      await this.#onWorkerDeath(request, error);
      return null;
    } finally {
      if (!isTaken) permit.release();
    }
  }

  get #supportsTimeBounds(): boolean {
    return this.#options.client.endpoint === 'stream' && this.#options.traits.supportsTimeBounds;
  }

  #ask(next: NextPage, signal: AbortSignal): Asked {
    const isWindowed = this.#supportsTimeBounds;
    const { sinceMs, topMs, anchorMs, untilMs } = this.#position;
    const isByCursor = next.cursor !== null && !(isWindowed && anchorMs !== null && !isTrusted(next));
    if (!isByCursor) this.#beginChain(next.page, isWindowed ? topMs : null);
    const bare = {
      windowId: this.windowId,
      page: next.page,
      limit: this.#limit.value,
      cursor: isByCursor ? next.cursor : null,
      cursorReceivedAtMs: isByCursor ? next.cursorReceivedAtMs : null,
      sinceMs: isWindowed ? sinceMs : null,
      untilMs: isWindowed ? (isByCursor ? untilMs : topMs) : null,
      reask: this.#limit.isReduced,
    };
    return askForPage(this.#options, bare, bare.limit * this.#options.traits.eventBytes * BYTES_PER_BODY_BYTE, signal);
  }

  /**
   * A request without a cursor: by time, or from the top of everything. Pages above may be served again, and are no sign
   * of a chain that goes nowhere, as long as chains get further.
   */
  #beginChain(page: number, untilMs: number | null): void {
    const { topMs } = this.#position;
    const before = this.#restarts.begin(untilMs);
    if (before === 'too-many-vain') throw noProgress({ windowId: this.windowId, page, untilMs }, this.#brokenBy);
    if (before !== 'nothing') this.#progress = new ChainProgress();
    // A page may have no times that descend: a smaller one is more likely to.
    if (before === 'vain' && untilMs !== null) this.#limit.shrink(2);
    // Asked for the same again: the answer must not come from what the API remembers.
    if (before === 'further' || before === 'vain') this.#limit.reduce();
    this.#skipping = untilMs === null && topMs !== null;
  }

  /** The next page's request leaves as soon as its cursor is known, unless it would probably be in vain. */
  #askAhead(request: PageRequest, raw: RawPage, envelope: PageEnvelope, signal: AbortSignal): Asked | null {
    const { nextCursor, hasMore } = envelope;
    if (hasMore !== true || nextCursor === null || nextCursor === request.cursor) return null;
    if (this.#options.isStopping() || this.#skipping) return null;
    // Where `since` does not end the walk by itself, the page behind the border would be asked for in vain.
    const isEndedByApi = this.#supportsTimeBounds && this.#options.traits.honoursSinceWithCursor;
    if (!isEndedByApi && this.#position.isNearEnd) return null;
    return this.#ask(nextPage(request, raw, nextCursor), signal);
  }

  /** Anything but a page. */
  async #handle(
    request: PageRequest,
    answer: Exclude<PageAnswer, { kind: 'page' }>,
    signal: AbortSignal,
  ): Promise<'go-on' | 'needs-chain'> {
    switch (answer.kind) {
      case 'stale-cursor':
        return this.#onStaleCursor(answer.detail);
      case 'outside-range':
        await this.#acceptNothing(request, signal);
        return 'go-on';
      case 'endpoint-changed':
        this.#suspect = true;
        return isTrusted(this.#next) || this.#options.isAlone() ? 'go-on' : 'needs-chain';
      case 'too-large':
        if (request.limit <= 1) throw eventTooLarge(request);
        this.#limit.shrink(2);
        this.#options.onRetry('too-large');
        return 'go-on';
    }
  }

  #onStaleCursor(detail: string): 'go-on' | 'needs-chain' {
    const { logger, onRetry, isAlone } = this.#options;
    this.#suspect = true;
    this.#brokenBy = detail;
    onRetry('stale-cursor');
    const where = { window: this.windowId, page: this.#next.page };
    this.#next = { ...this.#next, cursor: null, cursorReceivedAtMs: null };
    if (this.#supportsTimeBounds) {
      logger.debug({ ...where, until: this.#position.topMs }, `a cursor is stale; going on by time: ${detail}`);
      return 'go-on';
    }
    if (!isAlone()) return 'needs-chain';
    logger.warn(where, `a cursor is stale and this endpoint has no time windows; walking from the top: ${detail}`);
    return 'go-on';
  }

  /** Asked for by time, and served from the top: every window would walk all of it. */
  #onWindowsIgnored(): 'needs-chain' {
    this.#options.traits.supportsTimeBounds = false;
    this.#options.logger.warn({ window: this.windowId }, 'the endpoint ignores time windows; walking one chain');
    return 'needs-chain';
  }

  /** A page whose envelope contradicts itself is good, when the walk can go on by its times. */
  async #canPassOver(request: PageRequest, encoded: EncodedPage, contradiction: string): Promise<boolean> {
    this.#suspect = true;
    this.#brokenBy = contradiction;
    this.#options.logger.warn({ window: this.windowId, page: request.page }, `contradiction: ${contradiction}`);
    if (this.#supportsTimeBounds && encoded.times !== null) return true;
    await this.#askAgain(request, 'contradiction', contradiction);
    return false;
  }

  async #askAgain(request: PageRequest, fault: string, detail: string): Promise<void> {
    await this.#options.client.faultyPage(request, fault, detail);
  }

  #encode(request: PageRequest, raw: RawPage): ReturnType<PageEncoder['encode']> {
    const { encoder } = this.#options;
    return this.#killsAlone && request.limit === 1
      ? encoder.encodeSuspect(this.windowId, request.page, raw)
      : encoder.encode(this.windowId, request.page, raw);
  }

  /** Once more as it was, then in ever smaller parts, until the event that kills workers stands alone; that one, too, once more. */
  async #onWorkerDeath(request: PageRequest, error: WorkerDiedError): Promise<void> {
    this.#workerDeaths += 1;
    this.#killsAlone = request.limit === 1;
    this.#options.logger.error({ window: this.windowId, page: request.page, err: error.message }, 'a worker died');
    if (this.#workerDeaths > 1) this.#limit.shrink(4);
    await this.#askAgain(request, 'worker-died', error.message);
  }

  /** The page was encoded, or its only event set aside: nothing behind it is suspected of anything. */
  #endSearchForKiller(): void {
    if (this.#killsAlone) this.#limit.restore();
    this.#workerDeaths = 0;
    this.#killsAlone = false;
  }

  #learn(request: PageRequest, encoded: EncodedPage): void {
    const { traits } = this.#options;
    noteEventBytes(traits, encoded);
    this.#restarts.note(encoded.servedCount);
    this.#position.note(encoded);
    if (ignoresSinceWithCursor(request, encoded)) traits.honoursSinceWithCursor = false;
  }

  #endsWith(encoded: EncodedPage): boolean {
    const { hasMore, nextCursor } = encoded.envelope;
    const isBelow = this.#position.isPastWindow(encoded);
    if (hasMore === false) return true;
    if (hasMore === null && nextCursor === null) {
      // No flag at all: believed, but looked at again when the run comes out short.
      this.#suspect = true;
      return true;
    }
    return isBelow;
  }

  #checkProgress(request: PageRequest, encoded: EncodedPage): void {
    if (this.#progress.note(encoded)) throw noNewEvents(request);
  }

  #afterPage(page: number, following: NextPage, endsWindow: boolean): Parameters<typeof ledgerEntry>[0] {
    return {
      windowId: this.windowId,
      page,
      nextCursor: following.cursor,
      cursorReceivedAtMs: following.cursorReceivedAtMs,
      anchorMs: this.#position.anchorMs,
      lastEventMs: this.#position.walkedToMs,
      endsWindow,
      suspect: this.#suspect,
    };
  }

  /** The API says that nothing lies in these bounds: the window ends with a page that has no events. */
  async #acceptNothing(request: PageRequest, signal: AbortSignal): Promise<void> {
    const permit = await this.#options.inFlight.acquire(0, signal);
    this.#complete = true;
    const following = { page: request.page + 1, cursor: null, cursorReceivedAtMs: null };
    await this.#options.accept({
      raw: { receivedAtMs: Date.now(), serverDateMs: null, bodyBytes: 0 },
      encoded: null,
      permit,
      ledger: ledgerEntry(this.#afterPage(request.page, following, true), null),
    });
  }
}
