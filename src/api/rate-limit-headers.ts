/** What an answer says about the rate limit, in every form that the API contract and the IETF's drafts list. Pure. */
import { memberOf } from './http-answer.ts';
import type { HttpHeaders } from './http-headers.ts';

export interface RateLimitNotice {
  /** Requests a window. */
  readonly limit: number | null;
  /** Length of the window, where it is announced, ms. */
  readonly windowMs: number | null;
  /** Requests left in this window. */
  readonly remaining: number | null;
  /** Until the window ends, ms. */
  readonly resetMs: number | null;
  /** How long a refused caller must wait, ms. */
  readonly retryAfterMs: number | null;
}

export const NOTHING_SAID: RateLimitNotice = {
  limit: null,
  windowMs: null,
  remaining: null,
  resetMs: null,
  retryAfterMs: null,
};

/** Numbers from here on are epoch seconds: as seconds to wait they would be 31 years. */
const EPOCH_SECONDS_FROM = 1e9;
/** Numbers from here on are epoch milliseconds. */
const EPOCH_MS_FROM = 1e12;
/** Our clock, which has milliseconds, is trusted when it is this close to `Date`, which has whole seconds. */
const CLOCKS_AGREE_MS = 1_500;
/** A moment in whole seconds may have been rounded down: it is taken for this much later. */
const ROUNDED_BY_MS = 1_000;
/** `retryAfter`, `retry_after_seconds`, `retryAfterMs`, `retryDelay`: without case and signs. The group: it is in milliseconds. */
const NAME_OF_WAIT = /^retry(?:after|delay|in)(ms|millis|milliseconds)?(?:s|secs?|seconds)?$/;
/** A number, and with it perhaps its sign, its unit, or quotes around it. */
const WHOLE_NUMBER = /^\s*["']?\+?(\d+(?:\.\d+)?)\s*(?:ms|s|sec|secs|second|seconds)?["']?\s*$/i;
/** A name of a month, or a year and a month. */
const LIKE_DATE = /[a-z]{3}|\d{4}-\d\d/i;
/** A wait may stand in a list of details of an error. */
const MAX_DEPTH = 4;

/**
 * @param nowMs when the answer came, epoch ms of our clock
 * @param body a refusal's body may say what its headers do not: `{"rateLimit":{"limit":…,"remaining":…,"reset":…}}`, and
 *   anywhere in it `{"retryAfter":28}`
 */
export function readRateLimit(headers: HttpHeaders, nowMs: number, body: unknown = null): RateLimitNotice {
  const dateMs = readDateMs(headers);
  // A moment by the API's clock must be compared with the API's clock.
  const theirNowMs = dateMs === null || Math.abs(dateMs + 500 - nowMs) <= CLOCKS_AGREE_MS ? nowMs : dateMs;
  const inBody = memberOf(body, 'rateLimit');
  const { policy, now } = readDrafts(headers);
  const text = (name: string): string | null =>
    headers.get(`x-ratelimit-${name}`) ?? headers.get(`x-rate-limit-${name}`) ?? headers.get(`ratelimit-${name}`);
  // A limit in a body is not believed: without headers nobody says what its window is.
  const limit = readNumber(text('limit') ?? now?.get('limit') ?? policy?.get('q'));
  const remaining =
    readNumber(text('remaining') ?? now?.get('remaining') ?? now?.get('r')) ??
    readNumber(memberOf(inBody, 'remaining'));
  const resetMs =
    readWait(text('reset') ?? now?.get('reset') ?? now?.get('t'), theirNowMs) ??
    readWait(memberOf(inBody, 'reset'), theirNowMs);
  const windowS = readNumber(policy?.get('w'));
  const saysNothingElse = remaining === 0 || (remaining === null && limit === null);
  return {
    limit: limit !== null && limit > 0 ? limit : null,
    windowMs: windowS === null || windowS === 0 ? null : windowS * 1000,
    remaining,
    resetMs,
    retryAfterMs:
      readWait(headers.get('retry-after'), theirNowMs) ??
      findWait(body, theirNowMs) ??
      (saysNothingElse ? resetMs : null),
  };
}

/** `Date` of an answer, epoch ms with whole seconds; `null` when absent or no date. */
export function readDateMs(headers: HttpHeaders): number | null {
  const date = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(date) ? null : date;
}

/** The first wait that a member of a JSON value tells. */
function findWait(json: unknown, theirNowMs: number, depth = 0): number | null {
  if (typeof json !== 'object' || json === null || depth > MAX_DEPTH) return null;
  for (const name of Object.keys(json)) {
    const value = memberOf(json, name);
    const match = NAME_OF_WAIT.exec(name.toLowerCase().replaceAll(/[^a-z]/g, ''));
    const waitMs =
      match === null ? findWait(value, theirNowMs, depth + 1) : readWait(value, theirNowMs, match[1] !== undefined);
    if (waitMs !== null) return waitMs;
  }
  return null;
}

function readWait(value: unknown, theirNowMs: number, isMs = false): number | null {
  const number = readNumber(value);
  if (number !== null) return isMs || /\d\s*ms\b/i.test(String(value)) ? number : durationMs(number, theirNowMs);
  // What is no date may be parsed as one all the same: -1 is the first of January 2001.
  const dateMs = typeof value === 'string' && LIKE_DATE.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(dateMs) ? null : toGoMs(dateMs, theirNowMs);
}

/** Seconds to go, epoch seconds or epoch milliseconds, distinguished by size; `null` for a moment that has passed. */
function durationMs(number: number, theirNowMs: number): number | null {
  if (number < EPOCH_SECONDS_FROM) return number * 1000;
  return number < EPOCH_MS_FROM ? toGoMs(number * 1000, theirNowMs) : toGoMs(number, theirNowMs, 0);
}

/** @param roundedByMs of a moment that is a whole second */
function toGoMs(momentMs: number, theirNowMs: number, roundedByMs = ROUNDED_BY_MS): number | null {
  const untilMs = momentMs + (momentMs % 1000 === 0 ? roundedByMs : 0) - theirNowMs;
  return untilMs > 0 ? untilMs : null;
}

type Members = ReadonlyMap<string, string>;

/**
 * Drafts of the IETF: `RateLimit-Policy: "a";q=10;w=60` with `RateLimit: "a";r=7;t=28` from 08 on, `10;w=60` with
 * `limit=10, remaining=7, reset=28` before. Of several policies the one counts that has the least left.
 */
function readDrafts(headers: HttpHeaders): { policy: Members | undefined; now: Members | undefined } {
  const policies = readItems(headers.get('ratelimit-policy') ?? headers.get('ratelimit-limit'));
  const items = readItems(headers.get('ratelimit'));
  const isOld = items.some((item) => item.has('remaining'));
  const now = isOld
    ? new Map(items.flatMap((item) => [...item]))
    : items.filter((item) => item.has('r')).sort((a, b) => Number(a.get('r')) - Number(b.get('r')))[0];
  const name = now?.get('limit') ?? now?.get('');
  return { policy: policies.find((one) => one.get('') === name) ?? policies.find((one) => one.has('w')), now };
}

/** Comma-separated items with parameters; an item's own word has the name ''. */
function readItems(text: string | null): Members[] {
  return (text ?? '').split(',').map(
    (item) =>
      new Map(
        item.split(';').map((part): [string, string] => {
          const [name = '', value] = part.trim().split('=');
          return value === undefined ? ['', name.replaceAll('"', '')] : [name.toLowerCase(), value];
        }),
      ),
  );
}

function readNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : null;
  if (typeof value !== 'string') return null;
  // "10, 10;window=60" is seen where gateways join lists. A date such as "3 Jan" or 2026-01-27 must not be read as 3 or 2026.
  const digits = WHOLE_NUMBER.exec(value.split(/[,;]/)[0] ?? '')?.[1];
  return digits === undefined ? null : Number(digits);
}
