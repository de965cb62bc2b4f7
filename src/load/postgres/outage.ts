/** A database that is away: everyone who needs it waits here, each with a growing pause, and one of them logs it. */
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigurationError, GaveUpError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { QUERY_CANCELED, classifyDatabaseError, sqlStateOf } from './database-errors.ts';
import { statementAgeMs } from './statement-age.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const PAUSE_GROWTH = 1.7;
/** Each pause is stretched by a random part of up to this much, so that the waiting callers do not all come back at once. */
const JITTER = 0.25;
/** Two statements that a timeout ended differ by what a busy machine adds, milliseconds, and by a part of their age. */
const SAME_AGE_MS = 20;
const SAME_AGE_SHARE = 0.05;

export interface OutageOptions {
  readonly settings: ConnectionSettings;
  readonly logger: Logger;
  readonly maxWaitMs: number;
  readonly onWaiting?: (waiting: string | null) => void;
  /** Who holds the newest lock that was waited for. */
  readonly lockHolder: () => string | null;
  /** Timeouts that are not 0 by default, like `statement_timeout = 150ms`. */
  readonly readTimeouts: () => Promise<readonly string[]>;
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
    let canceledAgeMs: number | null = null;
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
        const ageMs = sqlStateOf(error) === QUERY_CANCELED ? statementAgeMs(error) : null;
        if (ageMs === null) this.#begin(what, error);
        else if (canceledAgeMs !== null && isSameAge(ageMs, canceledAgeMs))
          throw await this.#timedOut(what, ageMs, error);
        else this.#noteCanceled(what, ageMs);
        canceledAgeMs = ageMs ?? canceledAgeMs;
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

  #noteCanceled(what: string, ageMs: number): void {
    this.#options.logger.warn({ what, age_ms: Math.round(ageMs) }, 'a statement was canceled; it is tried again');
  }

  async #timedOut(what: string, ageMs: number, cause: unknown): Promise<ConfigurationError> {
    const { settings, readTimeouts } = this.#options;
    const timeouts = await readTimeouts().catch(() => []);
    const defaults =
      timeouts.length === 0
        ? 'the defaults of this role and database have none'
        : `the defaults of this role and database have ${timeouts.join(', ')}`;
    return new ConfigurationError(
      `PostgreSQL canceled a statement twice after ${(ageMs / 1000).toFixed(2)} s (${what}, ${settings.described}): a timeout is set somewhere. ` +
        `The job's sessions set theirs to 0 (${defaults}), so look for a trigger or function that sets statement_timeout, and for ` +
        'a program or job that cancels long statements; let it spare this role, and start again. What was merged is safe.',
      { cause, location: { connection: settings.described } },
    );
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

function isSameAge(oneMs: number, otherMs: number): boolean {
  return Math.abs(oneMs - otherMs) <= SAME_AGE_MS + SAME_AGE_SHARE * Math.max(oneMs, otherMs);
}
