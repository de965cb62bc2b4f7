/** Waits for locks are told and bounded: who holds the lock, after a second; the end of the job, after its patience. */
import { GaveUpError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { sqlStateOf } from './database-errors.ts';
import type { DatabaseWaits } from './database-waits.ts';

const LOOK_EVERY_MS = 1_000;

export interface LockWatchOptions {
  readonly logger: Logger;
  readonly maxWaitMs: number;
  readonly waits: DatabaseWaits;
  /** Who keeps the backend waiting, in words; `null`: nobody. */
  readonly holderFor: (pid: number) => Promise<string | null>;
  /** Ends what the backend waits for. */
  readonly cancel: (pid: number) => Promise<void>;
}

export class LockWatch {
  readonly #options: LockWatchOptions;
  /** Of the newest lock that was waited for. */
  #lastHolder: string | null = null;

  constructor(options: LockWatchOptions) {
    this.#options = options;
  }

  /** For a wait that a `lock_timeout` has ended before anybody could wait longer. */
  get lastHolder(): string | null {
    return this.#lastHolder;
  }

  /** Watches the backend while it works. @throws GaveUpError when a lock was waited for too long, what `work` throws */
  async during<T>(pid: number, purpose: string, work: () => Promise<T>): Promise<T> {
    const wait = new LockWait(this.#options, pid, purpose, (holder) => {
      this.#lastHolder = holder;
    });
    try {
      return await work();
    } catch (error) {
      if (wait.gaveUpOn === null || sqlStateOf(error) !== '57014') throw error;
      throw new GaveUpError(
        `${purpose} has waited ${Math.round(this.#options.maxWaitMs / 1000)} s for a lock: ${wait.gaveUpOn} holds it. ` +
          'What was merged is safe and nothing needs to be undone: end that session or its transaction, then start again.',
        { cause: error },
      );
    } finally {
      wait.end();
    }
  }
}

/** One transaction, and whether it waits. */
class LockWait {
  readonly #options: LockWatchOptions;
  readonly #pid: number;
  readonly #purpose: string;
  readonly #onHolder: (holder: string) => void;
  #timer: NodeJS.Timeout;
  #isOver = false;
  /** Since when, ms of `performance.now()`. */
  #waiting: { readonly sinceMs: number; readonly end: () => void } | null = null;
  /** The holder, when the wait was too long. */
  gaveUpOn: string | null = null;

  constructor(options: LockWatchOptions, pid: number, purpose: string, onHolder: (holder: string) => void) {
    this.#options = options;
    this.#pid = pid;
    this.#purpose = purpose;
    this.#onHolder = onHolder;
    this.#timer = this.#soon();
  }

  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#tellEnd();
  }

  #soon(): NodeJS.Timeout {
    // A wait alone is no reason to keep the process alive.
    return setTimeout(() => void this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Never rejects: where nobody can be asked, the wait goes on untold. */
  async #look(): Promise<void> {
    const holder = await this.#options.holderFor(this.#pid).catch(() => null);
    if (this.#isOver) return;
    if (holder === null) this.#tellEnd();
    else await this.#noteHolder(holder);
    this.#timer = this.#soon();
  }

  async #noteHolder(holder: string): Promise<void> {
    const { logger, waits, maxWaitMs, cancel } = this.#options;
    this.#onHolder(holder);
    if (this.#waiting === null) {
      const end = waits.begin(`${this.#purpose} waits for a lock that ${holder} holds`);
      this.#waiting = { sinceMs: performance.now() - LOOK_EVERY_MS, end };
      const max_wait_seconds = Math.round(maxWaitMs / 1000);
      logger.warn({ what: this.#purpose, holder, max_wait_seconds }, 'waiting for a lock that another session holds');
    }
    if (performance.now() - this.#waiting.sinceMs < maxWaitMs) return;
    this.gaveUpOn = holder;
    await cancel(this.#pid).catch(() => undefined);
  }

  #tellEnd(): void {
    if (this.#waiting === null) return;
    const seconds = Math.round((performance.now() - this.#waiting.sinceMs) / 1000);
    this.#waiting.end();
    this.#waiting = null;
    if (this.gaveUpOn !== null) return;
    this.#options.logger.info({ what: this.#purpose, seconds }, 'the wait for a lock is over');
  }
}

/** Who keeps a backend waiting, `$1`: the one whose transaction is the oldest. Literals of its query are left out: one may be a secret. */
export const HOLDER_SQL = `
  SELECT format('process %s (role %s, application "%s", transaction since %s s, last query: %s)', b.pid, coalesce(a.usename, '?'),
                coalesce(a.application_name, ''), coalesce(floor(extract(epoch FROM clock_timestamp() - a.xact_start)), 0),
                coalesce(left(regexp_replace(regexp_replace(a.query, '''[^'']*(''|$)', '''…''', 'g'), '\\s+', ' ', 'g'), 60), 'a prepared transaction')) AS holder
    FROM unnest(pg_blocking_pids($1)) AS b (pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
   ORDER BY a.xact_start LIMIT 1`;
