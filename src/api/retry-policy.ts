/**
 * What came back → what to do. A pure table: no clock, no sockets, no counting. The status, the API's own code and the
 * kind of transport failure decide, never a message. An answer that nobody foresaw is not tried again.
 */
import type { TransportFailure } from './transport-error.ts';

/** What came of one request for a page. */
export type PageOutcome =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** The API's own `code`, upper case as sent; `null` when the body has none (a load balancer's page, say). */
      readonly apiCode: string | null;
    }
  | { readonly kind: 'failure'; readonly failure: TransportFailure }
  /** A 200 that is no page. */
  | { readonly kind: 'faulty' };

/** What the request was, and what is known about the API. */
export interface PageSituation {
  readonly endpoint: 'stream' | 'events';
  /** `null` when no cursor was sent. Counted from the moment the cursor arrived. */
  readonly cursorAgeMs: number | null;
  /** As the API says it; `null` when it does not. */
  readonly cursorLifeMs: number | null;
  /** `since` or `until` was sent. */
  readonly bounded: boolean;
  /** Failures of this page in a row, this one included, that could be a stale cursor in disguise. */
  readonly suspiciousFailures: number;
  /** Failures of this page in a row, this one included. */
  readonly failures: number;
  /** Whether the same endpoint has served another request since this page first failed; `null` when it is not known. */
  readonly othersServed: boolean | null;
  /** How often this page may still be asked for at once after a closed connection. */
  readonly freeRetriesLeft: number;
}

export type Verdict =
  /** Without a wait, and not counted as a failure: nothing reached the API. */
  | 'again-at-once'
  | 'backoff'
  | 'wait-for-rate-limit'
  /** The walk must be anchored again by time. */
  | 'stale-cursor'
  | 'outside-range'
  | 'renew-token'
  | 'refuse-key'
  /** Ask the same endpoint for something small without a cursor: is it the API, or this cursor? */
  | 'check-cursor'
  /** Ask the other endpoint: is it the API, or the stream endpoint? */
  | 'check-stream'
  | 'give-up';

/** Assumed life of a cursor when the API does not say it: 116 s were observed. */
const USUAL_CURSOR_LIFE_MS = 100_000;
/** A cursor is checked after this many failures in a row that it alone might cause. */
const CHECK_CURSOR_AFTER = 2;
/** A cursor is given up after this many, when others are served meanwhile. */
const STALE_AFTER = 3;
/** The other endpoint is asked after this many failures in a row on the stream endpoint. */
const CHECK_STREAM_AFTER = 5;

export function decide(outcome: PageOutcome, situation: PageSituation): Verdict {
  switch (outcome.kind) {
    case 'faulty':
      return 'backoff';
    case 'failure':
      return decideFailure(outcome.failure, situation);
    case 'answer':
      return decideAnswer(outcome.status, outcome.apiCode, situation);
  }
}

function decideFailure(failure: TransportFailure, situation: PageSituation): Verdict {
  if (failure === 'untrusted') return 'give-up';
  if (failure === 'closed' && situation.freeRetriesLeft > 0) return 'again-at-once';
  return 'backoff';
}

function decideAnswer(status: number, apiCode: string | null, situation: PageSituation): Verdict {
  const hasCursor = situation.cursorAgeMs !== null;
  const namesCursor = apiCode?.includes('CURSOR') === true;
  switch (status) {
    case 429:
      return 'wait-for-rate-limit';
    case 400:
    case 410:
      // Without a cursor the request will not change, nor will the answer. With one, the cursor is what can change.
      return hasCursor ? 'stale-cursor' : 'give-up';
    case 401:
    case 403:
      if (hasCursor && namesCursor) return 'stale-cursor';
      return situation.endpoint === 'stream' ? 'renew-token' : 'refuse-key';
    case 404:
      if (hasCursor && namesCursor) return 'stale-cursor';
      // The path of the stream endpoint comes with the access, and can change with it.
      return situation.endpoint === 'stream' ? 'renew-token' : 'give-up';
    case 418:
      // Beside a cursor, too, it can only say that nothing lies there: the walk decides what that means.
      return situation.bounded || hasCursor ? 'outside-range' : 'give-up';
    case 408:
    case 425:
      return 'backoff';
    default:
      if (status >= 500) return decideServerError(apiCode, situation);
      // Other 2xx hold no page. A redirect is never followed: it would carry the key away.
      return status < 400 ? 'backoff' : 'give-up';
  }
}

/** Whether an answer can be a stale cursor in disguise: an error of the server without a code of the API's own. */
export function isSuspicious(outcome: PageOutcome): boolean {
  return outcome.kind === 'answer' && outcome.status >= 500 && outcome.apiCode === null;
}

function decideServerError(apiCode: string | null, situation: PageSituation): Verdict {
  const { cursorAgeMs, suspiciousFailures, othersServed } = situation;
  if (apiCode === null && cursorAgeMs !== null) {
    const life = situation.cursorLifeMs ?? USUAL_CURSOR_LIFE_MS;
    // Asking again with a cursor past its life cannot help. Without windows a new anchor costs a whole walk: make sure.
    if (cursorAgeMs >= life && situation.endpoint === 'stream') return 'stale-cursor';
    if (suspiciousFailures >= STALE_AFTER && othersServed === true) return 'stale-cursor';
    if (suspiciousFailures >= CHECK_CURSOR_AFTER && othersServed === null) return 'check-cursor';
  }
  if (situation.endpoint === 'stream' && situation.failures >= CHECK_STREAM_AFTER && othersServed !== true) {
    return 'check-stream';
  }
  return 'backoff';
}
