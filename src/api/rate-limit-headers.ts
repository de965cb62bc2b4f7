/** What an answer says about the rate limit, in every form that the API contract lists. Pure. */
import { memberOf } from './http-answer.ts';
import type { HttpHeaders } from './http-exchange.ts';

export interface RateLimitNotice {
  /** Requests a window. */
  readonly limit: number | null;
  /** Requests left in this window. */
  readonly remaining: number | null;
  /** Until the window ends, ms. */
  readonly resetMs: number | null;
  /** How long a refused caller must wait, ms. */
  readonly retryAfterMs: number | null;
}

/** Numbers from here on are epoch seconds: as seconds to wait they would be 31 years. */
const EPOCH_SECONDS_FROM = 1e9;
/** Numbers from here on are epoch milliseconds. */
const EPOCH_MS_FROM = 1e12;
/** Our clock, which has milliseconds, is trusted when it is this close to `Date`, which has whole seconds. */
const CLOCKS_AGREE_MS = 1_500;

/**
 * @param nowMs when the answer came, epoch ms of our clock
 * @param body a refusal's body may say what its headers do not: `{"rateLimit":{"limit":…,"remaining":…,"reset":…}}`
 */
export function readRateLimit(headers: HttpHeaders, nowMs: number, body: unknown = null): RateLimitNotice {
  const dateMs = readDateMs(headers);
  // A moment by the API's clock must be compared with the API's clock.
  const theirNowMs = dateMs === null || Math.abs(dateMs + 500 - nowMs) <= CLOCKS_AGREE_MS ? nowMs : dateMs + 500;
  const inBody = memberOf(body, 'rateLimit');
  const value = (name: string): number | null => {
    const text =
      headers.get(`x-ratelimit-${name}`) ?? headers.get(`x-rate-limit-${name}`) ?? headers.get(`ratelimit-${name}`);
    // A limit in a body is not believed: without headers nobody says what its window is.
    return readNumber(text) ?? (name === 'limit' ? null : readNumber(memberOf(inBody, name)));
  };
  const limit = value('limit');
  const reset = value('reset');
  return {
    limit: limit !== null && limit > 0 ? limit : null,
    remaining: value('remaining'),
    resetMs: reset === null ? null : durationMs(reset, theirNowMs),
    retryAfterMs: readRetryAfter(headers.get('retry-after'), theirNowMs),
  };
}

/** `Date` of an answer, epoch ms with whole seconds; `null` when absent or no date. */
export function readDateMs(headers: HttpHeaders): number | null {
  const date = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(date) ? null : date;
}

function readRetryAfter(text: string | null, theirNowMs: number): number | null {
  const number = readNumber(text);
  if (number !== null) return durationMs(number, theirNowMs);
  const dateMs = Date.parse(text ?? '');
  return Number.isNaN(dateMs) || dateMs <= theirNowMs ? null : dateMs - theirNowMs;
}

/** Seconds to go, epoch seconds or epoch milliseconds, distinguished by size; `null` for a moment that has passed. */
function durationMs(number: number, theirNowMs: number): number | null {
  if (number < EPOCH_SECONDS_FROM) return number * 1000;
  const untilMs = (number >= EPOCH_MS_FROM ? number : number * 1000) - theirNowMs;
  return untilMs > 0 ? untilMs : null;
}

function readNumber(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : null;
  if (typeof value !== 'string') return null;
  // "10, 10;window=60" is seen where gateways join lists. A date such as "3 Jan" must not be read as 3.
  const [first = ''] = value.split(/[,;]/);
  const digits = /^\s*(\d+(?:\.\d+)?)/.exec(first)?.[1];
  return digits === undefined || /[a-z]{3}/i.test(first) ? null : Number(digits);
}
