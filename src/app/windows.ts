/**
 * Walks the windows of a run in parallel, and keeps them balanced: whenever a walk could run and none waits, the window
 * with the most left is split at the middle of what it has left, so that all finish together whatever the distribution.
 */
import type { Logger } from '../core/logging.ts';
import type { WindowState } from '../core/state.ts';
import { ApiStreamReader, type AcceptedPage, type ReaderOptions } from './api-stream-reader.ts';
import { probeOldest } from './range-probe.ts';

/** A split costs a request or two: not worth it for less than this many pages. */
const MIN_PAGES_TO_SPLIT = 3;
/** Below this the border would be wider than the window. */
const MIN_MS_TO_SPLIT = 8;

export interface WindowSetOptions {
  readonly reader: Omit<ReaderOptions, 'accept'>;
  readonly concurrency: number;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly accept: (page: AcceptedPage) => Promise<void>;
  /** Told of the first error of a walk, to end the others: aborts `signal`. */
  readonly fail: (error: unknown) => void;
  /** Durable before any page of the new window is accepted. */
  readonly split: (windowId: number, atMs: number) => Promise<WindowState>;
  /** Events the API says the data set has, and how many have been fetched; for judging what is left. */
  readonly remainingEvents: () => number | null;
  /** Each pass asks differently from the one before it, see ReaderOptions. */
  readonly limitReduction: number;
}

export interface WalkReport {
  readonly outcome: 'complete' | 'stopped';
  /** Windows that cannot be walked on the endpoint that is left: they go on as one chain. */
  readonly orphans: readonly number[];
}

export class WindowSet {
  readonly #options: WindowSetOptions;
  readonly #readers: ApiStreamReader[] = [];
  readonly #active = new Map<ApiStreamReader, Promise<void>>();
  readonly #orphans: number[] = [];
  #stopped = false;
  #oldestMs: number | null = null;
  #probing: Promise<void> | null = null;
  /** Wakes the balancing loop when something changed that it decides by. */
  #wake: () => void = () => undefined;

  constructor(states: readonly WindowState[], options: WindowSetOptions) {
    this.#options = options;
    for (const state of states) this.#add(state, null);
  }

  get readers(): readonly ApiStreamReader[] {
    return this.#readers;
  }

  /** @throws the first error of any walk, after all others have ended; the signal's reason */
  async walk(): Promise<WalkReport> {
    const waiting = this.#readers.filter((reader) => !reader.complete);
    const failures: unknown[] = [];
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      while (failures.length === 0 && !this.#stopped && this.#active.size < this.#options.concurrency) {
        const reader = waiting.shift() ?? (await this.#splitOrFail(failures));
        if (reader === null) break;
        this.#start(reader, failures);
      }
      if (this.#active.size === 0) break;
      await changed;
    }
    await this.#probing;
    if (failures.length > 0) throw failures[0];
    return { outcome: this.#stopped ? 'stopped' : 'complete', orphans: this.#orphans };
  }

  #add(state: WindowState, splitFrom: number | null): ApiStreamReader {
    const { limitReduction } = this.#options;
    const reader = new ApiStreamReader(
      state,
      {
        ...this.#options.reader,
        accept: async (page) => {
          await this.#options.accept(page);
          this.#probeOnce(reader);
          this.#wake();
        },
      },
      splitFrom === null ? { limitReduction } : { splitFrom, limitReduction },
    );
    this.#readers.push(reader);
    return reader;
  }

  #start(reader: ApiStreamReader, failures: unknown[]): void {
    const walk = async (): Promise<void> => {
      try {
        const outcome = await reader.walk(this.#options.signal);
        if (outcome === 'stopped') this.#stopped = true;
        if (outcome === 'needs-chain') this.#orphans.push(reader.windowId);
      } catch (error) {
        failures.push(error);
        this.#options.fail(error);
      } finally {
        this.#active.delete(reader);
        this.#wake();
      }
    };
    this.#active.set(reader, walk());
  }

  /** Finds out how far back the data goes, beside the first walk, once it is known to be longer than a page. */
  #probeOnce(reader: ApiStreamReader): void {
    const { client, encoder, traits } = this.#options.reader;
    const isWorthIt = this.#options.concurrency > 1 && !reader.complete && reader.walkedToMs !== null;
    if (this.#probing !== null || !isWorthIt || client.endpoint !== 'stream' || !traits.honoursWindows) return;
    const { logger, signal } = this.#options;
    this.#probing = probeOldest(reader.walkedToMs, { client, encoder, traits, logger, signal }).then(
      (oldestMs) => {
        this.#oldestMs = oldestMs;
        if (!traits.honoursWindows) logger.info('the endpoint ignores time windows; walking one chain');
        this.#wake();
      },
      (error: unknown) => {
        logger.debug({ err: error }, 'the range of times could not be probed; walking one chain');
      },
    );
  }

  /** A split that fails ends the walks like a failure of theirs: none may go on behind the back of who waits for them all. */
  async #splitOrFail(failures: unknown[]): Promise<ApiStreamReader | null> {
    try {
      return await this.#splitLargest();
    } catch (error) {
      failures.push(error);
      this.#options.fail(error);
      return null;
    }
  }

  async #splitLargest(): Promise<ApiStreamReader | null> {
    const { traits, client } = this.#options.reader;
    if (client.endpoint !== 'stream' || !traits.honoursWindows || this.#oldestMs === null) return null;
    if (this.#options.reader.isStopping()) return null;
    const best = this.#largest();
    if (best === null) return null;
    const { reader, atMs } = best;
    const state = await this.#options.split(reader.windowId, atMs);
    reader.sinceMs = atMs;
    this.#options.logger.debug({ window: reader.windowId, new_window: state.windowId, at: atMs }, 'window split');
    return this.#add(state, reader.windowId);
  }

  #largest(): { reader: ApiStreamReader; atMs: number } | null {
    const { pageSize } = this.#options.reader;
    const open = [...this.#active.keys()].flatMap((reader) => {
      const fromMs = reader.sinceMs ?? this.#oldestMs;
      const toMs = reader.walkedToMs;
      if (fromMs === null || toMs === null || reader.complete || toMs - fromMs < MIN_MS_TO_SPLIT) return [];
      return [{ reader, fromMs, toMs }];
    });
    const remaining = this.#options.remainingEvents();
    const openMs = open.reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs), 0);
    const averageEventsPerMs = remaining === null || openMs === 0 ? 0 : Math.max(0, remaining) / openMs;
    let best: { reader: ApiStreamReader; atMs: number; events: number } | null = null;
    for (const { reader, fromMs, toMs } of open) {
      // A window that has not begun says nothing of itself; it is divided only while the first ones are handed out.
      if (reader.pages === 0 && this.#readers.length >= this.#options.concurrency) continue;
      const own = reader.eventsPerMs;
      const eventsPerMs = Math.max(own ?? 0, averageEventsPerMs);
      if (eventsPerMs === 0) continue;
      const inFlightMs = own === null ? 0 : pageSize / own;
      const leftMs = toMs - inFlightMs - fromMs;
      const events = leftMs * eventsPerMs;
      if (leftMs < MIN_MS_TO_SPLIT || events < MIN_PAGES_TO_SPLIT * pageSize) continue;
      if (best === null || events > best.events) best = { reader, atMs: Math.floor(fromMs + leftMs / 2), events };
    }
    return best;
  }
}
