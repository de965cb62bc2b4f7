/**
 * Walks the windows of a run in parallel, and keeps them balanced: when there are fewer windows than walks, it divides what
 * the others have left (window-division.ts), so that all finish together whatever the distribution.
 */
import type { Logger } from '../../core/logging.ts';
import type { WindowState } from '../../core/state.ts';
import { turnTime } from '../../core/walk-time.ts';
import type { AcceptedPage } from '../../core/accepted-page.ts';
import { ApiStreamReader, type ReaderOptions, type ReaderOrigin } from '../api-stream-reader.ts';
import { EmptyRanges } from './empty-ranges.ts';
import { probeOldest } from './range-probe.ts';
import { divideWindows, type OpenWindow } from './window-division.ts';

/** Finding where the data begins costs a dozen requests: worth it for more pages than this. */
const MIN_PAGES_TO_PROBE = 8;
/** Pages of a window after which it is worth it where the API gives no total. */
const PAGES_BEFORE_PROBE = 3;
/** Empty windows that are made for nothing, and how many more for each page. */
const MAX_VAIN_WINDOWS = 6;
const MAX_VAIN_SHARE = 1 / 8;
/** A guess beyond this is not used: the newest page has too few events to go by. */
const MAX_GUESS_MS = 60 * 365 * 86_400_000;
/** A guess that is a little too long costs less than one that is a little too short. */
const GUESS_MARGIN = 1.02;

export interface WindowSetOptions {
  readonly reader: Omit<ReaderOptions, 'accept'>;
  readonly concurrency: number;
  readonly logger: Logger;
  /** Ends all walks; then the report says `interrupted`. */
  readonly signal: AbortSignal;
  readonly accept: (page: AcceptedPage) => Promise<void>;
  /** Writes the new windows, durably. Cuts are newest first; so are the new windows. */
  readonly split: (windowId: number, cutsMs: readonly number[]) => Promise<WindowState[]>;
  /** Events that have not been fetched yet; `null` when nobody knows. */
  readonly remainingEvents: () => number | null;
  /** See {@link ReaderOrigin}: each pass asks differently from the one before it. */
  readonly limitReduction: number;
  /** Below it nothing can lie, in walk time. */
  readonly bottomMs: number;
  readonly originOf: (state: WindowState) => Pick<ReaderOrigin, 'isWhole' | 'isInhabited'>;
}

/**
 * stopped: no further page was asked for, as the job is stopping. interrupted: requests were ended by the signal.
 * needs-chain: these windows cannot be walked to their ends; all walks were ended.
 */
export type WalkReport = 'complete' | 'stopped' | 'interrupted' | 'needs-chain';

export class WindowSet {
  readonly #options: WindowSetOptions;
  readonly #readers: ApiStreamReader[] = [];
  readonly #active = new Map<ApiStreamReader, Promise<void>>();
  #outcome: WalkReport = 'complete';
  /** Of the first walk that failed. */
  #failure: { readonly error: unknown } | null = null;
  /** Ends all walks. */
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  /** Where the data probably ends, for windows without a lower bound. */
  #oldestMs: number | null = null;
  #probing: Promise<void> | null = null;
  readonly #emptyRanges = new EmptyRanges();
  /** Wakes the balancing loop when something has changed by which it decides. */
  #wake: () => void = () => undefined;

  constructor(states: readonly WindowState[], options: WindowSetOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#ended.signal]);
    for (const state of states) this.#add(state, {});
  }

  get readers(): readonly ApiStreamReader[] {
    return this.#readers;
  }

  /** @throws the first error of any walk, after all others have ended */
  async walk(): Promise<WalkReport> {
    const waiting = this.#readers.filter((reader) => !reader.complete);
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      while (this.#idleWalks > 0 && waiting.length > 0) {
        const reader = waiting.shift();
        if (reader !== undefined) this.#start(reader);
      }
      if (this.#idleWalks > 0 && this.#active.size > 0) await this.#divide();
      if (this.#active.size === 0) break;
      await changed;
    }
    await this.#probing;
    if (this.#failure !== null) throw this.#failure.error;
    if (this.#outcome !== 'complete' || !this.#isContradicted) return this.#outcome;
    this.#options.reader.traits.windowsAgree = false;
    this.#options.logger.warn(
      'a window came empty, and so did what lies below it, where there are events; walking one chain',
    );
    return 'needs-chain';
  }

  /** Whether a window is empty by answers that also said that nothing lies below it, where another window has events. */
  get #isContradicted(): boolean {
    const unanswered = this.#readers.filter((reader) => reader.isUnanswered);
    const topMs = Math.max(...unanswered.map(({ position }) => position.sinceMs ?? -Infinity));
    return this.#readers.some(({ position: { servedToMs } }) => servedToMs !== null && servedToMs < topMs);
  }

  get #idleWalks(): number {
    if (this.#failure !== null || this.#outcome !== 'complete') return 0;
    return Math.max(0, this.#options.concurrency - this.#active.size);
  }

  get #canDivide(): boolean {
    const { traits, client, isStopping } = this.#options.reader;
    const isByTime = traits.supportsTimeBounds && traits.isOrderedByTime && traits.windowsAgree;
    return client.bounds.since && client.bounds.until && isByTime && !isStopping();
  }

  #add(state: WindowState, origin: ReaderOrigin): ApiStreamReader {
    const { limitReduction } = this.#options;
    const reader: ApiStreamReader = new ApiStreamReader(
      state,
      {
        ...this.#options.reader,
        accept: async (page) => {
          await this.#options.accept(page);
          this.#findOldest(reader);
          this.#wake();
        },
      },
      { ...origin, ...this.#options.originOf(state), limitReduction, emptyRanges: this.#emptyRanges },
    );
    this.#readers.push(reader);
    return reader;
  }

  #start(reader: ApiStreamReader): void {
    const walk = async (): Promise<void> => {
      try {
        const outcome = await reader.walk(this.#signal);
        if (outcome === 'stopped' && this.#outcome === 'complete') this.#outcome = 'stopped';
        if (outcome === 'needs-chain') this.#endForChain();
      } catch (error) {
        this.#fail(error);
      } finally {
        this.#active.delete(reader);
        this.#wake();
      }
    };
    this.#active.set(reader, walk());
  }

  /** The others could not be walked to their ends either, or would be walked again. */
  #endForChain(): void {
    this.#outcome = 'needs-chain';
    this.#ended.abort();
  }

  /** An error after the signal is the signal's doing. */
  #fail(error: unknown): void {
    if (this.#options.signal.aborted) {
      this.#outcome = 'interrupted';
      return;
    }
    if (this.#outcome === 'needs-chain') return;
    this.#failure ??= { error };
    this.#ended.abort();
  }

  /**
   * How far back does the data go? The first guess is that all of it lies as densely as the newest page, so that all walks
   * have something to do at once. Probes find out when a walk finds older events, or when there is nothing to guess by.
   */
  #findOldest(reader: ApiStreamReader): void {
    const { walkedToMs, sinceMs } = reader.position;
    if (this.#probing !== null || this.#options.concurrency === 1 || !this.#canDivide) return;
    if (reader.complete || sinceMs !== null || walkedToMs === null) return;
    if (this.#oldestMs !== null && walkedToMs > this.#oldestMs) return;
    const expectedMs = this.#expectedRangeMs(reader);
    if (expectedMs === 'short') return;
    if (this.#oldestMs === null && expectedMs !== null && expectedMs < MAX_GUESS_MS) {
      this.#oldestMs = Math.max(walkedToMs - expectedMs * GUESS_MARGIN, this.#options.bottomMs);
    } else {
      this.#probe(walkedToMs, expectedMs);
    }
  }

  /** How long the data reaches back if it goes on like the newest page; `null` when there is nothing to go by. */
  #expectedRangeMs({ pages, position: { eventsPerMs } }: ApiStreamReader): number | 'short' | null {
    const { pageSize } = this.#options.reader;
    const remainingEvents = this.#options.remainingEvents();
    if (remainingEvents === null) return pages < PAGES_BEFORE_PROBE ? 'short' : null;
    if (remainingEvents <= MIN_PAGES_TO_PROBE * pageSize) return 'short';
    return eventsPerMs === null || eventsPerMs === 0 ? null : remainingEvents / eventsPerMs;
  }

  #probe(newestMs: number, expectedMs: number | null): void {
    const { client, encoder, traits } = this.#options.reader;
    const { logger, bottomMs } = this.#options;
    const onFound = (oldestMs: number): void => {
      this.#oldestMs = oldestMs;
      this.#wake();
    };
    this.#probing = probeOldest(
      { newestMs, expectedMs, bottomMs },
      { client, encoder, traits, signal: this.#signal, onFound },
    ).then(
      () => {
        if (!traits.supportsTimeBounds) logger.warn('the endpoint ignores time windows; walking one chain');
      },
      (error: unknown) => {
        logger.debug({ err: error }, 'the range of times could not be probed; walking one chain');
      },
    );
  }

  /** Where nobody knows how much is left, windows are cut by the density of a page: too many came out empty, and each costs requests. */
  get #isVain(): boolean {
    if (this.#options.remainingEvents() !== null) return false;
    const pages = this.#readers.reduce((sum, reader) => sum + reader.pages, 0);
    const vain = this.#readers.filter(({ complete, position }) => complete && position.servedToMs === null);
    return vain.length > MAX_VAIN_WINDOWS + pages * MAX_VAIN_SHARE;
  }

  /** Gives idle walks a part of what the others have left. */
  async #divide(): Promise<void> {
    if (!this.#canDivide || this.#isVain) return;
    const open = [...this.#active.keys()].flatMap((reader): { reader: ApiStreamReader; window: OpenWindow }[] => {
      const { sinceMs, eventsPerMs } = reader.position;
      const lowestMs = sinceMs ?? this.#oldestMs;
      const highestMs = reader.position.unservedToMs;
      if (lowestMs === null || highestMs === null || reader.complete || reader.looksEmpty) return [];
      const fromMs = this.#emptyRanges.above(lowestMs);
      const toMs = this.#emptyRanges.below(highestMs);
      if (toMs <= fromMs) return [];
      return [{ reader, window: { fromMs, toMs, eventsPerMs, pagesUnderWay: reader.pagesUnderWay } }];
    });
    const cuts = divideWindows(
      open.map(({ window }) => window),
      {
        walks: this.#idleWalks,
        remainingEvents: this.#options.remainingEvents(),
        pageSize: this.#options.reader.pageSize,
      },
    );
    // All at once, before any of them takes in another page.
    const splits = open.flatMap(({ reader }, index) => {
      const cutsMs = cuts[index] ?? [];
      if (cutsMs.length === 0) return [];
      const split = this.#split(reader, cutsMs);
      reader.divideWhile(split.catch(() => undefined));
      return [split];
    });
    for (const result of await Promise.allSettled(splits)) {
      if (result.status === 'rejected') this.#fail(result.reason);
    }
  }

  async #split(reader: ApiStreamReader, cutsMs: readonly number[]): Promise<void> {
    const [topCutMs] = cutsMs;
    if (topCutMs === undefined) return;
    const states = await this.#options.split(reader.windowId, cutsMs);
    if (states.length === 0) return;
    reader.position.sinceMs = topCutMs;
    const { isOldestFirst } = this.#options.reader.traits;
    this.#options.logger.debug(
      {
        window: reader.windowId,
        new_windows: states.map(({ windowId }) => windowId),
        at: cutsMs.map((ms) => turnTime(ms, isOldestFirst)),
      },
      'window split',
    );
    for (const state of states) {
      this.#start(this.#add(state, { splitFrom: reader.windowId, eventsPerMs: reader.position.eventsPerMs }));
    }
  }
}
