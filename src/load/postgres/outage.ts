/**
 * A database that is away: everyone who needs it waits here, each with a growing pause, and one of them says so.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { GaveUpError, describeError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { classifyDatabaseError } from './database-errors.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const PAUSE_GROWTH = 1.7;
/** Pauses are stretched by up to this part, so that everyone who waits does not come back at once. */
const JITTER = 0.25;

export interface OutageOptions {
  readonly described: string;
  readonly logger: Logger;
  readonly maxWaitMs: number;
  readonly onWaiting: (waiting: string | null) => void;
  readonly redact: (text: string) => string;
}

export class Outage {
  readonly #options: OutageOptions;
  /** How many callers are waiting, and since when the first one is; `null` while the database is there. */
  #since: number | null = null;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** See `Database.persistently`. */
  async persistently<T>(what: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    let firstFailureMs: number | null = null;
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      try {
        signal?.throwIfAborted();
        const result = await work();
        if (firstFailureMs !== null) this.#over();
        return result;
      } catch (error) {
        const kind = classifyDatabaseError(error);
        if (kind === 'disk-full') throw this.#diskFull(what, error);
        if (kind !== 'transient') throw error;
        firstFailureMs ??= Date.now();
        this.#begin(what, error);
        const leftMs = firstFailureMs + this.#options.maxWaitMs - Date.now();
        if (leftMs <= 0) throw this.#gaveUp(what, error);
        const jittered = pauseMs * (1 + Math.random() * JITTER);
        await delay(Math.min(jittered, leftMs), undefined, signal === undefined ? {} : { signal });
        pauseMs = Math.min(pauseMs * PAUSE_GROWTH, LONGEST_PAUSE_MS);
      }
    }
  }

  #begin(what: string, error: unknown): void {
    if (this.#since !== null) return;
    this.#since = Date.now();
    const reason = this.#options.redact(describeError(error));
    this.#options.onWaiting(reason);
    this.#options.logger.warn(
      { what, reason, max_wait_seconds: Math.round(this.#options.maxWaitMs / 1000) },
      'database is away, waiting for it; nothing is lost',
    );
  }

  #over(): void {
    if (this.#since === null) return;
    const seconds = (Date.now() - this.#since) / 1000;
    this.#since = null;
    this.#options.onWaiting(null);
    this.#options.logger.info({ seconds }, 'database is back');
  }

  #diskFull(what: string, cause: unknown): GaveUpError {
    return new GaveUpError(
      `PostgreSQL's disk is full (${what}, ${this.#options.described}: ${this.#options.redact(describeError(cause))}). ` +
        'What was merged is safe and nothing needs to be undone: make room and start again.',
      { cause, location: { connection: this.#options.described } },
    );
  }

  #gaveUp(what: string, cause: unknown): GaveUpError {
    const seconds = Math.round(this.#options.maxWaitMs / 1000);
    return new GaveUpError(
      `gave up after ${seconds} s without the database ${this.#options.described} (${what}: ` +
        `${this.#options.redact(describeError(cause))}). What was merged is safe: start again when the server is back.`,
      { cause, location: { connection: this.#options.described } },
    );
  }
}
