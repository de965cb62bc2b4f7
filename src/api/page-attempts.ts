/** The failures of one page: {@link PageAttempts.record} turns verdicts of retry-policy.ts into what the client must do. Pure. */
import { backoffDelayMs, type BackoffRule } from '../core/backoff.ts';
import type { PageFailure } from './page-outcome.ts';
import { limitInTurn, type EndpointName, type PageRequest, type RetryKind } from './page-request.ts';
import { isRefusal, isSuspicious, judge, refusesToken, type Outcome, type Situation } from './retry-policy.ts';

/** Server and transport failures of one page after which it is given up. */
const MAX_FAILURES = 30;
/** A 200 that is no page is more likely to stay so. */
const MAX_FAULTS = 10;
/** Closed connections after which a page is asked for again at once. */
const FREE_RETRIES = 2;
/** A check that found the API down is made again after this many more failures. */
const CHECK_AGAIN_AFTER = 3;
/** From this failure of a page on, each is worth a warning. */
const WARN_FROM_FAILURE = 3;
/** Far more than can be under way. */
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
  /** The stream endpoint fails while `/events` works, or takes no token: only the stream endpoint is given up. */
  | 'stream-broken';

type Conclusion =
  | {
      readonly kind: 'ask-again';
      readonly retry: RetryKind;
      /** 0: at once, or when the pacer allows it. */
      readonly waitMs: number;
      readonly warn: boolean;
    }
  | { readonly kind: 'give-up'; readonly why: GiveUpReason };

/** What the client must do about a failure. */
export type PageAction =
  | Conclusion
  /** This is the answer for the client's caller. */
  | { readonly kind: 'stale-cursor'; readonly isFailure: boolean }
  | { readonly kind: 'outside-range' }
  /** So is this; `maxEvents` as the API says it, `null` when it does not. */
  | { readonly kind: 'too-large'; readonly maxEvents: number | null }
  /** Ask `endpoint` for something small without a cursor, and hand what came of it to {@link PageAttempts.recordCheck}. */
  | { readonly kind: 'check'; readonly endpoint: EndpointName };

/** What the client knows when a request fails. Moments are ms of one clock that never goes back. */
export interface Circumstances extends Pick<
  Situation,
  'limit' | 'cursorAgeMs' | 'cursorLifeMs' | 'bounded' | 'hasKeyWorked'
> {
  readonly endpoint: EndpointName;
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

/** What has failed in a row. */
interface Row {
  /** When it began. */
  readonly sinceMs: number;
  /** Failures that count. */
  failures: number;
  /** Of those: answers that were no pages. */
  faults: number;
  /** Of those: what could be a stale cursor in disguise. */
  suspicious: number;
  /** Refusals without another failure between them, and when they began. */
  refusals: { readonly sinceMs: number; times: number } | null;
  tokensRefused: number;
  freeRetriesLeft: number;
  /** How many events less are asked for, so that a cache cannot give the same bad answer. */
  limitReduction: number;
  /** `failures` when a check found that the endpoint serves nobody. */
  failuresAtFailedCheck: number;
  /** The other endpoint was seen to work while this page failed on the stream endpoint. */
  isStreamSuspected: boolean;
}

function beginRow(sinceMs: number): Row {
  return {
    sinceMs,
    failures: 0,
    faults: 0,
    suspicious: 0,
    refusals: null,
    tokensRefused: 0,
    freeRetriesLeft: FREE_RETRIES,
    limitReduction: 0,
    failuresAtFailedCheck: -Infinity,
    isStreamSuspected: false,
  };
}

export class PageAttempts {
  /** Requests sent for this page since something last came of them. */
  sent = 0;
  readonly #limits: RetryLimits;
  #cursor: string | null = null;
  /** `null` before the first failure. */
  #row: Row | null = null;

  constructor(limits: RetryLimits) {
    this.#limits = limits;
  }

  /** When it first failed; `null` when it has not. */
  get firstFailureMs(): number | null {
    return this.#row?.sinceMs ?? null;
  }

  /**
   * A new cursor was served, so everything is counted anew: a walk from the top passes many pages over that have one number. When
   * a cursor is dropped, only what it was suspected of says nothing any more.
   */
  useCursor(cursor: string | null): void {
    if (this.#cursor === cursor) return;
    this.#cursor = cursor;
    if (cursor !== null) {
      this.#row = null;
      this.sent = 0;
    } else if (this.#row !== null) {
      this.#row.suspicious = 0;
      this.#row.failuresAtFailedCheck = -Infinity;
    }
  }

  /** Counts a request. @returns the limit to send */
  begin({ limit, cursor, cursorLimit = null }: Pick<PageRequest, 'limit' | 'cursor' | 'cursorLimit'>): number {
    this.sent += 1;
    if (cursorLimit !== null) return cursorLimit;
    return limitInTurn(limit, this.#row?.limitReduction ?? 0, cursor === null ? 1 : 2);
  }

  record(failure: PageFailure, at: Circumstances): PageAction {
    const row = (this.#row ??= beginRow(at.nowMs));
    const { outcome } = failure;
    row.tokensRefused += isTokenRefused(outcome, at) ? 1 : 0;
    noteRefusal(row, outcome, at.nowMs);
    const verdict = judge(outcome, {
      ...at,
      hasPathWorked: at.endpointServedMs > -Infinity,
      suspiciousFailures: row.suspicious + (isSuspicious(outcome) ? 1 : 0),
      failures: row.failures + 1,
      tokensRefused: row.tokensRefused,
      refusals: row.refusals?.times ?? 0,
      refusedForMs: at.nowMs - (row.refusals?.sinceMs ?? at.nowMs),
      isLastTry: at.withoutPageMs + backoffDelayMs(row.failures + 1, this.#limits.backoff, 1) > this.#limits.maxWaitMs,
      othersServed: othersServed(row, at),
      freeRetriesLeft: row.freeRetriesLeft,
    });
    switch (verdict) {
      case 'again-at-once':
        row.freeRetriesLeft -= 1;
        return askAtOnce('closed-connection');
      case 'later':
        return at.withoutPageMs > this.#limits.maxWaitMs ? giveUp('no-page') : askAtOnce('rate-limit');
      case 'smaller-page':
        return { kind: 'too-large', maxEvents: outcome.kind === 'answer' ? outcome.refusal.maxEvents : null };
      case 'new-anchor':
        return { kind: 'stale-cursor', isFailure: outcome.kind !== 'answer' || !isRefusal(outcome.refusal) };
      case 'outside-range':
        return { kind: verdict };
      case 'new-token':
        row.failures += 1;
        return askAtOnce('token');
      case 'other-endpoint':
        return giveUp('stream-broken');
      case 'end-for-key':
        return giveUp(row.isStreamSuspected ? 'stream-broken' : 'key-refused');
      case 'end':
        if (row.isStreamSuspected) return giveUp('stream-broken');
        return giveUp(at.hasEverServed ? 'not-served' : 'wrong-settings');
      case 'check-cursor':
        return { kind: 'check', endpoint: at.endpoint };
      case 'check-stream':
        return this.#limits.canLeaveStream ? { kind: 'check', endpoint: 'events' } : this.#count(row, failure, at);
      case 'again':
        return this.#count(row, failure, at);
    }
  }

  /** The check that {@link record} asked for found out whether `checked` serves others. */
  recordCheck(checked: EndpointName, works: boolean, failure: PageFailure, at: Circumstances): Conclusion {
    const row = (this.#row ??= beginRow(at.nowMs));
    if (checked === at.endpoint) {
      if (!works) row.failuresAtFailedCheck = row.failures + 1;
    } else if (works) {
      if (row.isStreamSuspected) return giveUp('stream-broken');
      // One such check proves little: an outage may just have ended.
      row.isStreamSuspected = true;
    }
    return this.#count(row, failure, at);
  }

  #count(row: Row, { outcome, fromCache }: PageFailure, at: Circumstances): Conclusion {
    row.failures += 1;
    if (isSuspicious(outcome)) row.suspicious += 1;
    // A bad answer that was cached would come again: what is asked for must differ.
    if (fromCache || outcome.kind === 'faulty') row.limitReduction += 1;
    switch (outcome.kind) {
      case 'faulty':
        row.faults += 1;
        return row.faults >= MAX_FAULTS ? giveUp('not-served') : this.#backOff(row, 'faulty-page', at);
      case 'failure':
        return at.firstContactFailed ? giveUp('unreachable') : this.#backOff(row, 'transport', at);
      case 'answer': {
        if (isTokenRefused(outcome, at)) return this.#backOff(row, 'token', at);
        return this.#backOff(row, isRefusal(outcome.refusal) ? 'refusal' : 'server-error', at);
      }
    }
  }

  #backOff(row: Row, retry: RetryKind, at: Circumstances): Conclusion {
    const { backoff, maxWaitMs } = this.#limits;
    const waitMs = backoffDelayMs(row.failures, backoff);
    if (row.failures >= MAX_FAILURES && othersServed(row, at) === true) return giveUp('not-served');
    if (at.withoutPageMs + waitMs > maxWaitMs) return giveUp('no-page');
    return { kind: 'ask-again', retry, waitMs, warn: row.failures >= WARN_FROM_FAILURE };
  }
}

function noteRefusal(row: Row, outcome: Outcome, nowMs: number): void {
  if (outcome.kind !== 'answer' || !isRefusal(outcome.refusal)) row.refusals = null;
  else if (row.refusals === null) row.refusals = { sinceMs: nowMs, times: 1 };
  else row.refusals.times += 1;
}

function isTokenRefused(outcome: Outcome, at: Circumstances): boolean {
  return outcome.kind === 'answer' && refusesToken(outcome.refusal, at);
}

/** Whether the endpoint served others since the row began; `null` when it is time to find out. */
function othersServed(row: Row, at: Circumstances): boolean | null {
  if (at.endpointServedMs > row.sinceMs) return true;
  return row.failures + 1 < row.failuresAtFailedCheck + CHECK_AGAIN_AFTER ? false : null;
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

  of(request: PageRequest): PageAttempts {
    const key = keyOf(request);
    let attempts = this.#pages.get(key);
    if (attempts === undefined) {
      attempts = new PageAttempts(this.#limits);
      this.#pages.set(key, attempts);
      const [oldest] = this.#pages.keys();
      if (this.#pages.size > MAX_REMEMBERED && oldest !== undefined) this.#pages.delete(oldest);
    }
    attempts.useCursor(request.cursor);
    return attempts;
  }

  clear(): void {
    this.#pages.clear();
  }

  /** What an endpoint did says nothing of the other one. */
  forget(request: PageRequest): void {
    this.#pages.delete(keyOf(request));
  }
}

function keyOf({ windowId, page }: PageRequest): string {
  return `${windowId}/${page}`;
}
