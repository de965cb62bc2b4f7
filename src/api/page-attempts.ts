/**
 * What is known of one page that does not come, and what follows from it: {@link PageAttempts.record} counts a failure and
 * turns the verdict of retry-policy.ts into what the client must do. No clock, no sockets.
 */
import { backoffDelayMs, type BackoffRule } from '../core/backoff.ts';
import type { PageFailure } from './page-outcome.ts';
import type { EndpointName, PageRequest, RetryKind } from './page-request.ts';
import { decide, isSuspicious, type PageSituation } from './retry-policy.ts';

/** Server and transport failures of one page after which it is given up. */
const MAX_FAILURES = 30;
/** A 200 that is no page is more likely to stay so. */
const MAX_FAULTS = 10;
/** Closed connections after which a page is asked for again at once. */
const FREE_RETRIES = 2;
/** Tokens rejected in a row for one page after which it waits before it is asked for again. */
const TOKENS_WITHOUT_WAIT = 2;
/** A check that found the API down is made again after this many more failures. */
const CHECK_AGAIN_AFTER = 3;
/** From this failure of a page on, each is worth a warning. */
const WARN_FROM_FAILURE = 3;
/** Pages remembered: far more than can be under way. */
const MAX_REMEMBERED = 4_096;

export type GiveUpReason =
  | 'key-refused'
  /** The API has never answered, and was tried for long enough. */
  | 'unreachable'
  /** The answer will not change, and nothing was ever served. */
  | 'wrong-settings'
  /** The answer will not change, or the page failed too often. */
  | 'not-served'
  /** No page at all came for longer than `maxWaitMs`. */
  | 'no-page'
  /** The stream endpoint fails while `/events` works: only the stream endpoint is given up. */
  | 'stream-broken';

type Conclusion =
  /** `waitMs` 0: at once, or when the pacer allows it. After `token` the rejected token is dropped first. */
  | { readonly kind: 'ask-again'; readonly retry: RetryKind; readonly waitMs: number; readonly warn: boolean }
  | { readonly kind: 'give-up'; readonly why: GiveUpReason };

/** What the client must do about a failure. */
export type PageAction =
  | Conclusion
  /** This is the answer for the client's caller. */
  | { readonly kind: 'stale-cursor' | 'outside-range' }
  /** Ask `endpoint` for something small without a cursor, and hand what came of it to {@link PageAttempts.recordCheck}. */
  | { readonly kind: 'check'; readonly endpoint: EndpointName };

/** What the client knows when a request fails. Moments are ms of one clock that never goes back. */
export interface Circumstances extends Pick<PageSituation, 'endpoint' | 'cursorAgeMs' | 'cursorLifeMs' | 'bounded'> {
  readonly nowMs: number;
  /** When the endpoint last served anything, -Infinity when it never did. */
  readonly endpointServedMs: number;
  readonly hasEverServed: boolean;
  /** Time since any page last came, or since this page was first asked for: the shorter of the two. */
  readonly withoutPageMs: number;
  readonly firstContactFailed: boolean;
}

export interface RetryLimits {
  readonly backoff: BackoffRule;
  readonly maxWaitMs: number;
  /** Whether `/events` may be used when the stream endpoint fails. */
  readonly canLeaveStream: boolean;
}

export class PageAttempts {
  /** Requests sent for this page. */
  sent = 0;
  /** `null` before the first failure. */
  firstFailureMs: number | null = null;
  readonly #limits: RetryLimits;
  /** Failures in a row that count. */
  #failures = 0;
  /** Of those: answers that were no pages. */
  #faults = 0;
  /** Of those: 5xx that could be a stale cursor in disguise, for the cursor in `#cursor`. */
  #suspiciousFailures = 0;
  #cursor: string | null = null;
  #tokenRejections = 0;
  /** The other endpoint was seen to work while this page failed on the stream endpoint. */
  #streamSuspected = false;
  #freeRetriesLeft = FREE_RETRIES;
  /** How many events less are asked for, so that a cache cannot give the same bad answer. */
  #limitReduction = 0;
  /** `#failures` when a check found that the endpoint serves nobody. */
  #failuresAtFailedCheck = -Infinity;

  constructor(limits: RetryLimits) {
    this.#limits = limits;
  }

  /** When the cursor changes or is dropped, suspicious failures are counted anew: the old ones say nothing about it. */
  useCursor(cursor: string | null): void {
    if (this.#cursor === cursor) return;
    this.#cursor = cursor;
    this.#suspiciousFailures = 0;
    this.#failuresAtFailedCheck = -Infinity;
  }

  /** Counts a request. @returns the limit to send */
  begin(limit: number): number {
    this.sent += 1;
    return Math.max(1, limit - this.#limitReduction);
  }

  record(failure: PageFailure, at: Circumstances): PageAction {
    this.firstFailureMs ??= at.nowMs;
    const verdict = decide(failure.outcome, {
      ...at,
      suspiciousFailures: this.#suspiciousFailures + (isSuspicious(failure.outcome) ? 1 : 0),
      failures: this.#failures + 1,
      othersServed: this.#othersServed(at),
      freeRetriesLeft: this.#freeRetriesLeft,
    });
    switch (verdict) {
      case 'again-at-once':
        this.#freeRetriesLeft -= 1;
        return askAtOnce('closed-connection');
      case 'wait-for-rate-limit':
        return at.withoutPageMs > this.#limits.maxWaitMs ? giveUp('no-page') : askAtOnce('rate-limit');
      case 'stale-cursor':
      case 'outside-range':
        return { kind: verdict };
      case 'renew-token':
        this.#tokenRejections += 1;
        if (this.#tokenRejections % (TOKENS_WITHOUT_WAIT + 1) !== 0) return askAtOnce('token');
        this.#failures += 1;
        return this.#backOff('token', at);
      case 'refuse-key':
        return giveUp('key-refused');
      case 'give-up':
        return giveUp(at.hasEverServed ? 'not-served' : 'wrong-settings');
      case 'check-cursor':
        return { kind: 'check', endpoint: at.endpoint };
      case 'check-stream':
        return this.#limits.canLeaveStream ? { kind: 'check', endpoint: 'events' } : this.#count(failure, at);
      case 'backoff':
        return this.#count(failure, at);
    }
  }

  /** The check that {@link record} asked for found out whether `checked` serves others. */
  recordCheck(checked: EndpointName, works: boolean, failure: PageFailure, at: Circumstances): Conclusion {
    if (checked === at.endpoint) {
      if (!works) this.#failuresAtFailedCheck = this.#failures + 1;
    } else if (works) {
      if (this.#streamSuspected) return giveUp('stream-broken');
      // One such check proves little: an outage may just have ended.
      this.#streamSuspected = true;
    }
    return this.#count(failure, at);
  }

  #count({ outcome, fromCache }: PageFailure, at: Circumstances): Conclusion {
    this.#failures += 1;
    if (isSuspicious(outcome)) this.#suspiciousFailures += 1;
    // A bad answer that was cached would come again: what is asked for must differ.
    if (fromCache || outcome.kind === 'faulty') this.#limitReduction += 1;
    switch (outcome.kind) {
      case 'faulty':
        this.#faults += 1;
        return this.#faults >= MAX_FAULTS ? giveUp('not-served') : this.#backOff('faulty-page', at);
      case 'failure':
        return at.firstContactFailed ? giveUp('unreachable') : this.#backOff('transport', at);
      case 'answer':
        return this.#backOff('server-error', at);
    }
  }

  #backOff(retry: RetryKind, at: Circumstances): Conclusion {
    const waitMs = backoffDelayMs(this.#failures, this.#limits.backoff);
    if (this.#failures >= MAX_FAILURES && this.#othersServed(at) === true)
      return { kind: 'give-up', why: 'not-served' };
    if (at.withoutPageMs + waitMs > this.#limits.maxWaitMs) return { kind: 'give-up', why: 'no-page' };
    return { kind: 'ask-again', retry, waitMs, warn: this.#failures >= WARN_FROM_FAILURE };
  }

  /** Whether the endpoint served others since this page first failed; `null` when it is time to find out. */
  #othersServed(at: Circumstances): boolean | null {
    if (at.endpointServedMs > (this.firstFailureMs ?? Infinity)) return true;
    return this.#failures + 1 < this.#failuresAtFailedCheck + CHECK_AGAIN_AFTER ? false : null;
  }
}

function askAtOnce(retry: RetryKind): Conclusion {
  return { kind: 'ask-again', retry, waitMs: 0, warn: false };
}

function giveUp(why: GiveUpReason): Conclusion {
  return { kind: 'give-up', why };
}

/** The attempts of all pages. Kept across calls, because a worker finds faults after a page was handed out. */
export class AttemptsByPage {
  readonly #limits: RetryLimits;
  readonly #pages = new Map<string, PageAttempts>();

  constructor(limits: RetryLimits) {
    this.#limits = limits;
  }

  of({ windowId, page, cursor }: PageRequest): PageAttempts {
    const key = `${windowId}/${page}`;
    let attempts = this.#pages.get(key);
    if (attempts === undefined) {
      attempts = new PageAttempts(this.#limits);
      this.#pages.set(key, attempts);
      const [oldest] = this.#pages.keys();
      if (this.#pages.size > MAX_REMEMBERED && oldest !== undefined) this.#pages.delete(oldest);
    }
    attempts.useCursor(cursor);
    return attempts;
  }
}
