/** An API that takes requests and answers none of them: it is told, because nothing else shows why nothing moves. */
import type { Logger } from '../core/logging.ts';
import { runningMs } from '../core/running-time.ts';
import { TransportError } from './transport-error.ts';
import type { Wait } from './waits.ts';

/** A page takes 3 to 6 s. */
const SILENT_AFTER_MS = 10_000;

export class Silence {
  readonly #logger: Logger;
  readonly #afterMs: number;
  #inFlight = 0;
  /** When the last answer came, ms of `runningMs()`. */
  #answeredMs = -Infinity;
  /** When the silence began that was told; `null` while the API answers. */
  #sinceMs: number | null = null;

  constructor(logger: Logger, afterMs = SILENT_AFTER_MS) {
    this.#logger = logger;
    this.#afterMs = afterMs;
  }

  /** `null` when no request waits for an answer, or not for long. */
  get wait(): Wait | null {
    if (this.#sinceMs === null || this.#inFlight === 0) return null;
    const seconds = Math.round((runningMs() - this.#sinceMs) / 1000);
    return { reason: `no answer from the API: for ${seconds} s`, untilMs: null, askedByApi: false };
  }

  /** Sends a request, and watches until it is answered, or has failed. */
  async during<T>(path: string, send: () => Promise<T>): Promise<T> {
    const startedMs = runningMs();
    const look = (): void => {
      const silentMs = runningMs() - Math.max(startedMs, this.#answeredMs);
      // Node's timers may fire a little early.
      if (silentMs + 1 >= this.#afterMs) this.#begin(path, silentMs);
      else timer = setTimeout(look, this.#afterMs - silentMs).unref();
    };
    let timer = setTimeout(look, this.#afterMs).unref();
    this.#inFlight += 1;
    try {
      const outcome = await send();
      if (!(outcome instanceof TransportError)) this.#noteAnswer();
      return outcome;
    } finally {
      this.#inFlight -= 1;
      clearTimeout(timer);
    }
  }

  #begin(path: string, silentMs: number): void {
    if (this.#sinceMs !== null) return;
    this.#sinceMs = runningMs() - silentMs;
    const fields = { path, seconds: Math.round(silentMs / 1000), requests: this.#inFlight };
    this.#logger.warn(fields, 'no answer from the API; waiting for it');
  }

  #noteAnswer(): void {
    this.#answeredMs = runningMs();
    if (this.#sinceMs === null) return;
    const seconds = Math.round((this.#answeredMs - this.#sinceMs) / 1000);
    this.#sinceMs = null;
    this.#logger.info({ seconds }, 'the API answers again');
  }
}
