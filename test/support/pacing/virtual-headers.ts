/** What an API in virtual time says of its limit: headers as text, read by the program's own reader. */
import { HttpHeaders } from '../../../src/api/http-headers.ts';
import { readRateLimit, type RateLimitNotice } from '../../../src/api/rate-limit-headers.ts';
import type { VirtualLimit } from './virtual-limits.ts';

export type HeaderForm = 'none' | 'seconds' | 'epoch' | 'epoch-down' | 'draft-06' | 'draft-07' | 'draft-08';

export interface VirtualApi {
  /** Makes the limit anew, for the oracle and for each policy. */
  readonly limit: () => VirtualLimit;
  readonly headers: HeaderForm;
  readonly retryAfter: boolean;
  /** Whether the request of this number is refused, whatever the rate; it costs nothing then. */
  readonly refuses?: (number: number) => boolean;
  /** With these refusals comes `Retry-After: 1`. */
  readonly refusesForMs?: number;
  /** Somebody else's requests with the same key come this often. */
  readonly othersEveryMs?: number;
  /** Somebody else used the first window up before the first request. */
  readonly usedUp?: boolean;
  /** The API's clock minus ours. */
  readonly clockSkewMs?: number;
}

const EPOCH_MS = Date.parse('2026-01-27T19:20:12.400Z');

interface Verdict {
  readonly granted: boolean;
  /** Refused whatever the rate. */
  readonly refused: boolean;
  readonly nowMs: number;
  readonly receivedMs: number;
}

export function noticeOf(
  api: VirtualApi,
  limit: VirtualLimit,
  { granted, refused, nowMs, receivedMs }: Verdict,
): RateLimitNotice {
  const theirEpochMs = EPOCH_MS + nowMs + (api.clockSkewMs ?? 0);
  const resetMs = limit.resetMs(nowMs);
  const reset = Math.ceil(resetMs / 1000);
  const { limit: quota, windowMs } = limit;
  const remaining = Math.max(0, Math.floor(limit.left(nowMs)));
  const headers: Record<string, string> = { date: new Date(theirEpochMs).toUTCString() };
  if (!granted && refused && api.refusesForMs !== undefined) headers['retry-after'] = String(api.refusesForMs / 1000);
  if (!granted && !refused && api.retryAfter) {
    headers['retry-after'] = String(Math.ceil((limit.earliestMs(nowMs) - nowMs) / 1000));
  }
  switch (Number.isFinite(quota) ? api.headers : 'none') {
    case 'none':
      break;
    case 'seconds':
    case 'epoch':
    case 'epoch-down': {
      const epoch = (theirEpochMs + resetMs) / 1000;
      headers['x-ratelimit-limit'] = String(quota);
      headers['x-ratelimit-remaining'] = String(remaining);
      headers['x-ratelimit-reset'] = String(
        api.headers === 'seconds' ? reset : api.headers === 'epoch' ? Math.ceil(epoch) : Math.floor(epoch),
      );
      break;
    }
    case 'draft-06':
      headers['ratelimit-limit'] = `${quota}, ${quota};w=${windowMs / 1000}`;
      headers['ratelimit-remaining'] = String(remaining);
      headers['ratelimit-reset'] = String(reset);
      break;
    case 'draft-07':
      headers['ratelimit-policy'] = `${quota};w=${windowMs / 1000}`;
      headers['ratelimit'] = `limit=${quota}, remaining=${remaining}, reset=${reset}`;
      break;
    case 'draft-08':
      headers['ratelimit-policy'] = `"default";q=${quota};w=${windowMs / 1000}`;
      headers['ratelimit'] = `"default";r=${remaining};t=${reset}`;
      break;
  }
  return readRateLimit(new HttpHeaders(headers), EPOCH_MS + receivedMs);
}
