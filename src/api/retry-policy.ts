/**
 * What came back → what to do: the one place that judges a status. Pure: no clock, no sockets, no counting. The first row that
 * fits decides. Words of a body only choose between waiting and trying again, never an end. What worked a moment ago with the
 * same key and path is asked again; what has never worked is not.
 */
import type { Refusal } from './refusal.ts';
import type { TransportFailure } from './transport-error.ts';

/** What came of one request. */
export type Outcome =
  | { readonly kind: 'answer'; readonly refusal: Refusal }
  | { readonly kind: 'failure'; readonly failure: TransportFailure }
  /** A 200 that is no page. */
  | { readonly kind: 'faulty' };

/** What the request was, and what is known about the API. "In a row" includes this one. */
export interface Situation {
  readonly endpoint: 'stream' | 'events' | 'access';
  /** Events asked for. */
  readonly limit: number;
  /** `null` when no cursor was sent. Counted from the moment the cursor arrived. */
  readonly cursorAgeMs: number | null;
  /** As the API says it; `null` when it does not. */
  readonly cursorLifeMs: number | null;
  /** `since` or `until` was sent. */
  readonly bounded: boolean;
  /** The API has served something with this key. */
  readonly hasKeyWorked: boolean;
  /** This endpoint has. */
  readonly hasPathWorked: boolean;
  /** Failures in a row that could be a stale cursor in disguise. */
  readonly suspiciousFailures: number;
  /** Failures in a row. */
  readonly failures: number;
  /** Answers 401, 403 and 404 of the stream endpoint in a row. */
  readonly tokensRefused: number;
  /** Refusals in a row, without another failure between them, and how long ago the first one came. */
  readonly refusals: number;
  readonly refusedForMs: number;
  /** No time is left for another try after this one. */
  readonly isLastTry: boolean;
  /** Whether the same endpoint has served another request since this page first failed; `null` when it is not known. */
  readonly othersServed: boolean | null;
  /** How often this page may still be asked for at once after a closed connection. */
  readonly freeRetriesLeft: number;
}

export type Verdict =
  /** Without a wait, and not counted as a failure: nothing reached the API. */
  | 'again-at-once'
  /** After the pause that the API asks everybody for. */
  | 'later'
  /** After a growing pause, a bounded number of times. */
  | 'again'
  | 'smaller-page'
  /** The walk must be anchored again by time. */
  | 'new-anchor'
  | 'outside-range'
  /** With another token, at once. */
  | 'new-token'
  /** Ask the same endpoint for something small without a cursor: is it the API, or this cursor? */
  | 'check-cursor'
  /** Ask the other endpoint: is it the API, or the stream endpoint? */
  | 'check-stream'
  | 'other-endpoint'
  | 'end'
  | 'end-for-key';

/** Assumed life of a cursor when the API does not say it: 116 s were observed. */
const USUAL_CURSOR_LIFE_MS = 100_000;
/** A cursor is checked after this many failures in a row that it alone might cause. */
const CHECK_CURSOR_AFTER = 2;
/** A cursor is given up after this many, when others are served meanwhile. */
const STALE_AFTER = 3;
/** The other endpoint is asked after this many failures in a row on the stream endpoint. */
const CHECK_STREAM_AFTER = 5;
/** Tokens refused in a row after which a stream endpoint that has never served is left, and another one waits. */
const MAX_TOKENS_AT_ONCE = 2;

/** A refusal of what worked before stays when it has come this often, for this long, or for as long as there is time. */
const REFUSED_TIMES = 5;
const REFUSED_FOR_MS = 30_000;

/** They tell of the API's state at this moment: Request Timeout, Conflict, Locked, Too Early, Client Closed Request. */
const OF_THE_MOMENT: ReadonlySet<number> = new Set([408, 409, 423, 425, 499]);

export function judge(outcome: Outcome, situation: Situation): Verdict {
  switch (outcome.kind) {
    case 'faulty':
      break;
    case 'failure':
      if (outcome.failure === 'untrusted') return 'end';
      if (outcome.failure === 'closed' && situation.freeRetriesLeft > 0) return 'again-at-once';
      // The other endpoint is on the same machine.
      if (outcome.failure === 'unreachable') return 'again';
      break;
    case 'answer': {
      const row = ROWS.find(({ fits }) => fits(outcome.refusal, situation));
      if (row !== undefined) return row.verdict;
    }
  }
  const { endpoint, failures, othersServed } = situation;
  const isStreamInDoubt = endpoint === 'stream' && failures >= CHECK_STREAM_AFTER && othersServed !== true;
  return isStreamInDoubt ? 'check-stream' : 'again';
}

interface Row {
  readonly verdict: Verdict;
  readonly fits: (refusal: Refusal, situation: Situation) => boolean;
}

const ROWS: readonly Row[] = [
  { verdict: 'later', fits: isAboutPace },
  { verdict: 'smaller-page', fits: isPageTooLarge },
  // Beside a cursor, too, a 418 can only say that nothing lies there: the walk decides what that means.
  { verdict: 'outside-range', fits: ({ status }, asked) => status === 418 && (asked.bounded || hasCursor(asked)) },
  { verdict: 'new-anchor', fits: refusesCursor },
  {
    verdict: 'other-endpoint',
    fits: (refusal, asked) =>
      asked.endpoint === 'stream' &&
      isRefusal(refusal) &&
      !asked.hasPathWorked &&
      (refusesToken(refusal, asked) ? asked.tokensRefused >= MAX_TOKENS_AT_ONCE : !hasCursor(asked)),
  },
  {
    verdict: 'new-token',
    fits: (refusal, asked) => refusesToken(refusal, asked) && asked.tokensRefused <= MAX_TOKENS_AT_ONCE,
  },
  // A cursor may be what is refused, until a request without one is refused as well.
  {
    verdict: 'end-for-key',
    fits: (refusal, asked) =>
      refusesKey(refusal) && !asked.hasKeyWorked && (!hasCursor(asked) || asked.othersServed === false),
  },
  // So it may be here; and access to the stream may be refused to a key that works elsewhere.
  {
    verdict: 'end',
    fits: (refusal, asked) =>
      isRefusal(refusal) &&
      !asked.hasPathWorked &&
      !hasCursor(asked) &&
      (!refusesKey(refusal) || asked.endpoint === 'access'),
  },
  { verdict: 'new-anchor', fits: isCursorStale },
  { verdict: 'check-cursor', fits: isCursorDoubtful },
  {
    verdict: 'end-for-key',
    fits: (refusal, asked) => refusesKey(refusal) && isRefusedForLong(asked) && asked.othersServed !== true,
  },
  { verdict: 'end', fits: (refusal, asked) => isRefusal(refusal) && isRefusedForLong(asked) },
];

/** It asks to be asked less often: everybody must wait. */
export function isAboutPace({ status, apiCode, toldWaitMs, remaining, speaksOfPace }: Refusal): boolean {
  if (status === 429) return true;
  if (status < 400) return false;
  // A cursor that died while we were held up stays dead, however long is waited.
  return (
    (speaksOfPace && !namesCursor({ apiCode })) || (refusesKey({ status }) && (toldWaitMs !== null || remaining === 0))
  );
}

/** Another answer to the same request may only come because the API has changed its mind. */
export function isRefusal({ status }: Pick<Refusal, 'status'>): boolean {
  return status >= 400 && status < 500 && !OF_THE_MOMENT.has(status);
}

function refusesKey({ status }: Pick<Refusal, 'status'>): boolean {
  return status === 401 || status === 403;
}

/** The path of the stream endpoint comes with its token, and can change with it. */
export function refusesToken({ status }: Refusal, { endpoint }: Pick<Situation, 'endpoint'>): boolean {
  return endpoint === 'stream' && (status === 401 || status === 403 || status === 404);
}

/** Whether it can be a stale cursor in disguise: an error without a code of the API's own, or a refusal of what worked before. */
export function isSuspicious(outcome: Outcome): boolean {
  if (outcome.kind !== 'answer') return false;
  const { status, apiCode } = outcome.refusal;
  return (status >= 500 && apiCode === null) || isRefusal(outcome.refusal);
}

function isRefusedForLong({ refusals, refusedForMs, isLastTry }: Situation): boolean {
  return refusals >= REFUSED_TIMES && (refusedForMs >= REFUSED_FOR_MS || isLastTry);
}

function hasCursor({ cursorAgeMs }: Pick<Situation, 'cursorAgeMs'>): boolean {
  return cursorAgeMs !== null;
}

function isPageTooLarge(refusal: Refusal, { endpoint, limit }: Situation): boolean {
  if (endpoint === 'access' || limit <= 1) return false;
  if (refusal.status === 413 || refusal.status === 414) return true;
  const { maxEvents } = refusal;
  // What it says of a cursor may have a limit in it: that of its age.
  const isAboutLimit = isRefusal(refusal) && !refusesKey(refusal) && !namesCursor(refusal);
  return isAboutLimit && maxEvents !== null && maxEvents < limit;
}

function namesCursor({ apiCode }: Pick<Refusal, 'apiCode'>): boolean {
  return apiCode?.includes('CURSOR') === true;
}

function refusesCursor(refusal: Refusal, asked: Situation): boolean {
  const { status } = refusal;
  if (!hasCursor(asked) || !isRefusal(refusal)) return false;
  if (namesCursor(refusal) || status === 410) return true;
  // Without windows a new anchor costs a whole walk: make sure.
  return status === 400 && asked.endpoint === 'stream';
}

function isCursorStale(refusal: Refusal, asked: Situation): boolean {
  if (!hasCursor(asked) || !isSuspicious({ kind: 'answer', refusal })) return false;
  const life = asked.cursorLifeMs ?? USUAL_CURSOR_LIFE_MS;
  // Asking again with a cursor past its life cannot help.
  if (refusal.status >= 500 && (asked.cursorAgeMs ?? 0) >= life && asked.endpoint === 'stream') return true;
  return asked.suspiciousFailures >= STALE_AFTER && asked.othersServed === true;
}

function isCursorDoubtful(refusal: Refusal, asked: Situation): boolean {
  if (!hasCursor(asked) || !isSuspicious({ kind: 'answer', refusal })) return false;
  return asked.suspiciousFailures >= CHECK_CURSOR_AFTER && asked.othersServed === null;
}
