/** A database that is away: everyone who needs it waits here, each with a growing pause, by one clock; one of them logs it. */
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigurationError, GaveUpError, StuckError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { runningMs } from '../../core/running-time.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import type { DatabaseWaits } from './database-waits.ts';
import { WAITING_FOR, type Holder } from './lock-holders.ts';
import { LOCK_NOT_AVAILABLE, QUERY_CANCELED, classifyDatabaseError, sqlStateOf } from './database-errors.ts';
import { explainRefusal } from './server-refusal.ts';
import { statementAgeMs } from './statement-age.ts';

const FIRST_PAUSE_MS = 100;
const USUAL_LONGEST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 60_000;
/** A database that was away for hours need not be looked for every few seconds: this part of the outage may be added to it. */
const PAUSE_SHARE = 0.1;
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
  readonly waits: DatabaseWaits;
  /** Who held the lock that a statement has given up with this error. */
  readonly lockHolder: (error: unknown) => Holder | null;
  /** Timeouts that are not 0 by default, like `statement_timeout = 150ms`. */
  readonly readTimeouts: () => Promise<readonly string[]>;
  /** Starts a server again that nobody else can start. Throws when that is not possible. */
  readonly revive?: (() => Promise<void>) | undefined;
}

export class Outage {
  readonly #options: OutageOptions;
  /** The outage that goes on. All callers go by its clock (ms of `runningMs()`), also those that begin to wait later. */
  #current: { readonly sinceMs: number; readonly endWait: () => void } | null = null;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** The database has been away for longer than it is waited for. */
  get isOverdue(): boolean {
    return this.#current !== null && runningMs() - this.#current.sinceMs >= this.#options.maxWaitMs;
  }

  /** See `Database.persistently`. */
  async persistently<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { maxWaitMs, revive } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    let refusedSinceMs: number | null = null;
    let canceledAgeMs: number | null = null;
    for (;;) {
      const begunMs = runningMs();
      try {
        const result = await work();
        this.noteAnswer(begunMs);
        return result;
      } catch (error) {
        const kind = classifyDatabaseError(error);
        if (kind === 'disk-full') {
          throw this.#gaveUp("PostgreSQL's disk is full", what, error, 'make room and start again', StuckError);
        }
        if (kind !== 'transient') {
          this.noteAnswer(begunMs);
          throw explainRefusal(error, what, this.#options.settings);
        }
        const ageMs = sqlStateOf(error) === QUERY_CANCELED ? statementAgeMs(error) : null;
        let sinceMs: number;
        if (ageMs !== null || isRefusalForNow(error)) {
          // The database is there and says no.
          this.noteAnswer(begunMs);
          if (ageMs === null && refusedSinceMs === null) this.#noteRefused(what, error);
          sinceMs = refusedSinceMs ??= runningMs();
        } else {
          sinceMs = this.#begin(what, this.#options.settings.redact(describeError(error)));
          await revive?.();
        }
        if (ageMs !== null) {
          if (canceledAgeMs !== null && isSameAge(ageMs, canceledAgeMs)) throw await this.#timedOut(what, ageMs, error);
          this.#noteCanceled(what, ageMs);
          canceledAgeMs = ageMs;
        }
        const leftMs = sinceMs + maxWaitMs - runningMs();
        if (leftMs <= 0) throw this.#waitedTooLong(what, error, sinceMs);
        await delay(Math.min(pauseMs * (1 + Math.random() * JITTER), leftMs));
        const awayMs = runningMs() - sinceMs;
        const longestMs = Math.min(Math.max(USUAL_LONGEST_PAUSE_MS, PAUSE_SHARE * awayMs), LONGEST_PAUSE_MS);
        pauseMs = Math.min(pauseMs * PAUSE_GROWTH, longestMs);
      }
    }
  }

  /** Nothing has come from the server for a while, not even an answer to a new connection. */
  noteSilence(): void {
    this.#begin('a statement', 'PostgreSQL does not answer');
  }

  /** @returns when it began */
  #begin(what: string, reason: string): number {
    if (this.#current !== null) return this.#current.sinceMs;
    const { waits, logger, maxWaitMs } = this.#options;
    this.#current = { sinceMs: runningMs(), endWait: waits.begin(reason) };
    logger.warn(
      { what, reason, max_wait_seconds: Math.round(maxWaitMs / 1000) },
      'database is away, waiting for it; nothing is lost',
    );
    return this.#current.sinceMs;
  }

  /** @param aliveMs when it was asked for what it answered, or answered: before the outage began, that says nothing */
  noteAnswer(aliveMs: number): void {
    if (this.#current === null || aliveMs < this.#current.sinceMs) return;
    const seconds = (runningMs() - this.#current.sinceMs) / 1000;
    this.#current.endWait();
    this.#current = null;
    this.#options.logger.info({ seconds }, 'database is back');
  }

  #waitedTooLong(what: string, cause: unknown, sinceMs: number): GaveUpError {
    const problem = `gave up after ${Math.round((runningMs() - sinceMs) / 1000)} s`;
    const holder = this.#options.lockHolder(cause);
    if (holder !== null) {
      const { reason, remedy } = WAITING_FOR[holder.kind];
      const waited = `${problem} of waiting for ${reason(holder.described)}`;
      return this.#gaveUp(waited, what, cause, `${remedy}, then start again`);
    }
    if (isRefusalForNow(cause)) {
      const advice = 'look at who locks the tables, and at the triggers behind them; then start again';
      return this.#gaveUp(`${problem} in which PostgreSQL refused it each time`, what, cause, advice);
    }
    return this.#gaveUp(`${problem} without the database`, what, cause, 'start again when the server is back');
  }

  #noteCanceled(what: string, ageMs: number): void {
    this.#options.logger.warn({ what, age_ms: Math.round(ageMs) }, 'a statement was canceled; it is tried again');
  }

  #noteRefused(what: string, error: unknown): void {
    const { lockHolder, logger, settings } = this.#options;
    // Told when the wait for the lock began.
    if (lockHolder(error) !== null) return;
    const reason = settings.redact(describeError(error));
    logger.warn({ what, reason }, 'PostgreSQL refuses a statement for now; it is tried again');
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

  #gaveUp(problem: string, what: string, cause: unknown, advice: string, Kind = GaveUpError): GaveUpError {
    const { described, redact } = this.#options.settings;
    return new Kind(
      `${problem} (${what}, ${described}: ${redact(describeError(cause))}). ` +
        `What was merged is safe and nothing needs to be undone: ${advice}.`,
      { cause, location: { connection: described } },
    );
  }
}

/** The server is there: another transaction was in the way of this one. */
function isRefusalForNow(error: unknown): boolean {
  const sqlState = sqlStateOf(error) ?? '';
  return sqlState === LOCK_NOT_AVAILABLE || sqlState.startsWith('40');
}

function isSameAge(oneMs: number, otherMs: number): boolean {
  return Math.abs(oneMs - otherMs) <= SAME_AGE_MS + SAME_AGE_SHARE * Math.max(oneMs, otherMs);
}
