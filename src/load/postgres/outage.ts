/** A database that is away: everyone who needs it waits here, each with a growing pause, and one of them logs it. */
import { setTimeout as delay } from 'node:timers/promises';
import { GaveUpError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { classifyDatabaseError, sqlStateOf } from './database-errors.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const PAUSE_GROWTH = 1.7;
/** Each pause is stretched by a random part of up to this much, so that the waiting callers do not all come back at once. */
const JITTER = 0.25;

export interface OutageOptions {
  readonly settings: ConnectionSettings;
  readonly logger: Logger;
  readonly maxWaitMs: number;
  readonly onWaiting?: (waiting: string | null) => void;
  /** Who holds the newest lock that was waited for. */
  readonly lockHolder: () => string | null;
}

export class Outage {
  readonly #options: OutageOptions;
  /** When the first caller began to wait; `null` while the database is there. */
  #since: number | null = null;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** See `Database.persistently`. */
  async persistently<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { maxWaitMs } = this.#options;
    let firstFailureMs: number | null = null;
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      try {
        const result = await work();
        if (firstFailureMs !== null) this.#end();
        return result;
      } catch (error) {
        const kind = classifyDatabaseError(error);
        if (kind === 'disk-full') {
          throw this.#gaveUp("PostgreSQL's disk is full", what, error, 'make room and start again');
        }
        if (kind !== 'transient') throw error;
        firstFailureMs ??= Date.now();
        this.#begin(what, error);
        const leftMs = firstFailureMs + maxWaitMs - Date.now();
        if (leftMs <= 0) {
          const seconds = Math.round(maxWaitMs / 1000);
          const holder = isAboutLock(error) ? this.#options.lockHolder() : null;
          if (holder !== null) {
            throw this.#gaveUp(
              `gave up after ${seconds} s: ${holder} holds a lock`,
              what,
              error,
              'end that session, then start again',
            );
          }
          const problem = `gave up after ${seconds} s without the database`;
          throw this.#gaveUp(problem, what, error, 'start again when the server is back');
        }
        await delay(Math.min(pauseMs * (1 + Math.random() * JITTER), leftMs));
        pauseMs = Math.min(pauseMs * PAUSE_GROWTH, LONGEST_PAUSE_MS);
      }
    }
  }

  #begin(what: string, error: unknown): void {
    // The lock's holder was told by lock-watch.ts.
    if (this.#since !== null || isAboutLock(error)) return;
    this.#since = Date.now();
    const reason = this.#options.settings.redact(describeError(error));
    this.#options.onWaiting?.(reason);
    this.#options.logger.warn(
      { what, reason, max_wait_seconds: Math.round(this.#options.maxWaitMs / 1000) },
      'database is away, waiting for it; nothing is lost',
    );
  }

  #end(): void {
    if (this.#since === null) return;
    const seconds = (Date.now() - this.#since) / 1000;
    this.#since = null;
    this.#options.onWaiting?.(null);
    this.#options.logger.info({ seconds }, 'database is back');
  }

  #gaveUp(problem: string, what: string, cause: unknown, advice: string): GaveUpError {
    const { described, redact } = this.#options.settings;
    return new GaveUpError(
      `${problem} (${what}, ${described}: ${redact(describeError(cause))}). ` +
        `What was merged is safe and nothing needs to be undone: ${advice}.`,
      { cause, location: { connection: described } },
    );
  }
}

function isAboutLock(error: unknown): boolean {
  return sqlStateOf(error) === '55P03';
}
