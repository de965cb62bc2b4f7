/** How often each page was asked for in vain. Kept across calls, because a worker finds faults after a page was handed out. */
import type { PageRequest } from './page-request.ts';

/** Server and transport failures of one page after which it is given up. */
export const MAX_FAILURES = 30;
/** A 200 that is no page is more likely to stay so. */
export const MAX_FAULTS = 10;
/** Closed connections after which a page is asked for again at once. */
const FREE_RETRIES = 2;
/** Pages remembered: far more than can be under way. */
const MAX_REMEMBERED = 4_096;

export interface PageAttempts {
  /** Requests sent for this page. */
  sent: number;
  /** Failures in a row that count. */
  failures: number;
  /** Of those: answers that were no pages. */
  faults: number;
  /** Of those: 5xx that could be a stale cursor in disguise, for the cursor in `cursor`. */
  suspiciousFailures: number;
  cursor: string | null;
  tokenRejections: number;
  /** The other endpoint was seen to work while this page failed on the stream endpoint. */
  streamSuspected: boolean;
  freeRetriesLeft: number;
  /** Ask for so many events less, so that a cache cannot give the same bad answer. */
  limitReduction: number;
  /** ms of `performance.now()`; `null` before the first failure. */
  firstFailureMs: number | null;
  /** `suspiciousFailures` when a check found that the API serves nobody. */
  checkedInVainAt: number | null;
}

export class AttemptBook {
  readonly #pages = new Map<string, PageAttempts>();

  of(request: PageRequest): PageAttempts {
    const key = `${request.windowId}/${request.page}`;
    let attempts = this.#pages.get(key);
    if (attempts === undefined) {
      attempts = freshAttempts();
      this.#pages.set(key, attempts);
      if (this.#pages.size > MAX_REMEMBERED) {
        const [oldest] = this.#pages.keys();
        if (oldest !== undefined) this.#pages.delete(oldest);
      }
    }
    if (attempts.cursor !== request.cursor) {
      // Another cursor, or none: what the old one was suspected of is not its fault.
      attempts.cursor = request.cursor;
      attempts.suspiciousFailures = 0;
      attempts.checkedInVainAt = null;
    }
    return attempts;
  }
}

function freshAttempts(): PageAttempts {
  return {
    sent: 0,
    failures: 0,
    faults: 0,
    suspiciousFailures: 0,
    cursor: null,
    tokenRejections: 0,
    streamSuspected: false,
    freeRetriesLeft: FREE_RETRIES,
    limitReduction: 0,
    firstFailureMs: null,
    checkedInVainAt: null,
  };
}
