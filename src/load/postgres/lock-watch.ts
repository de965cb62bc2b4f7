/**
 * Waits for others are told and bounded: who holds the lock, after a second or two; the end of the job, after its patience. A commit
 * that no synchronous standby confirms waits, too.
 */
import { GaveUpError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { runningMs } from '../../core/running-time.ts';
import { LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlStateOf } from './database-errors.ts';
import type { DatabaseWaits } from './database-waits.ts';
import { WAITING_FOR, type Holder } from './lock-holders.ts';

const LOOK_EVERY_MS = 1_000;

export interface LockWatchOptions {
  readonly logger: Logger;
  readonly maxWaitMs: number;
  readonly waits: DatabaseWaits;
  /** What each of these backends waits for; one that does not wait, or for one of `own`, is left out. */
  readonly holdersFor: (pids: readonly number[], own: readonly number[]) => Promise<ReadonlyMap<number, Holder>>;
  /** Ends what the backend waits for. */
  readonly cancel: (pid: number) => Promise<void>;
}

/** What a session is doing, and whom it waits for, as far as is known. */
export interface WatchedWork {
  readonly holder: Holder | null;
}

interface Watched extends WatchedWork {
  readonly pid: number;
  readonly purpose: string;
  holder: Holder | null;
  /** Since when it waits, ms of `runningMs()`. */
  sinceMs: number;
  hasGivenUp: boolean;
}

export class LockWatch {
  readonly #options: LockWatchOptions;
  readonly #watched = new Set<Watched>();
  /** Whom a statement had waited for when PostgreSQL refused it. */
  readonly #holders = new WeakMap<Error, Holder>();
  #timer: NodeJS.Timeout | null = null;
  /** Told once for all that wait at a time. */
  #told: { readonly wait: Watched; readonly end: () => void } | null = null;

  constructor(options: LockWatchOptions) {
    this.#options = options;
  }

  /** Who held the lock that a `lock_timeout` has given up; `null` where nobody knows. */
  holderOf(error: unknown): Holder | null {
    return error instanceof Error ? (this.#holders.get(error) ?? null) : null;
  }

  /** Watches the backend while it works. @throws GaveUpError when others were waited for too long, what `work` throws */
  async during<T>(pid: number, purpose: string, work: (watched: WatchedWork) => Promise<T>): Promise<T> {
    const watched: Watched = { pid, purpose, holder: null, sinceMs: 0, hasGivenUp: false };
    this.#watched.add(watched);
    this.#plan();
    try {
      const result = await work(watched);
      // A commit that is canceled while it waits for a standby has happened, here alone.
      if (watched.hasGivenUp && watched.holder?.kind === 'standby') throw this.#gaveUp(watched, watched.holder, null);
      return result;
    } catch (error) {
      const { holder } = watched;
      const sqlState = sqlStateOf(error);
      if (holder === null || sqlState === null) throw error;
      if (watched.hasGivenUp && sqlState === QUERY_CANCELED) throw this.#gaveUp(watched, holder, error);
      if (sqlState === LOCK_NOT_AVAILABLE && error instanceof Error) this.#holders.set(error, holder);
      throw error;
    } finally {
      this.#watched.delete(watched);
      this.#tell();
    }
  }

  #plan(): void {
    if (this.#timer !== null || this.#watched.size === 0) return;
    const known = [...this.#watched];
    this.#timer = setTimeout(() => {
      void this.#look(known.filter((watched) => this.#watched.has(watched))).finally(() => {
        this.#timer = null;
        this.#plan();
      });
    }, LOOK_EVERY_MS);
    // A wait alone is no reason to keep the process alive.
    this.#timer.unref();
  }

  /** Never rejects: where nobody can be asked, the waits go on untold. */
  async #look(long: readonly Watched[]): Promise<void> {
    if (long.length === 0) return;
    const pids = long.map(({ pid }) => pid);
    const own = [...this.#watched].map(({ pid }) => pid);
    const holders = await this.#options.holdersFor(pids, own).catch(() => null);
    if (holders === null) return;
    for (const watched of long) {
      const holder = holders.get(watched.pid) ?? null;
      if (watched.holder === null) watched.sinceMs = runningMs();
      watched.holder = holder;
      const isOverdue = holder !== null && runningMs() - watched.sinceMs >= this.#options.maxWaitMs;
      if (!isOverdue || !this.#watched.has(watched)) continue;
      watched.hasGivenUp = true;
      await this.#options.cancel(watched.pid).catch(() => undefined);
    }
    this.#tell();
  }

  #tell(): void {
    const { logger, waits, maxWaitMs } = this.#options;
    const waiting = [...this.#watched].find(({ holder }) => holder !== null);
    const holder = waiting?.holder ?? null;
    if (this.#told === null && waiting !== undefined && holder !== null) {
      const { purpose } = waiting;
      const { reason, warning } = WAITING_FOR[holder.kind];
      this.#told = { wait: waiting, end: waits.begin(`${purpose} waits for ${reason(holder.described)}`) };
      const max_wait_seconds = Math.round(maxWaitMs / 1000);
      logger.warn({ what: purpose, holder: holder.described, max_wait_seconds }, warning);
    }
    if (this.#told === null || waiting !== undefined) return;
    const { purpose, sinceMs, hasGivenUp } = this.#told.wait;
    this.#told.end();
    this.#told = null;
    const seconds = Math.round((runningMs() - sinceMs) / 1000);
    if (!hasGivenUp) logger.info({ what: purpose, seconds }, 'the wait for a lock is over');
  }

  #gaveUp({ purpose, sinceMs }: Watched, { kind, described }: Holder, cause: unknown): GaveUpError {
    const { reason, remedy } = WAITING_FOR[kind];
    const seconds = Math.round((runningMs() - sinceMs) / 1000);
    return new GaveUpError(
      `${purpose} has waited ${seconds} s for ${reason(described)}. ` +
        `What was merged is safe and nothing needs to be undone: ${remedy}, then start again.`,
      cause === null ? {} : { cause },
    );
  }
}
