/** The answers of the faults that the server itself makes. */
import { htmlAnswer, jsonAnswer, type Answer } from '../endpoints/answer.ts';
import type { FaultKind } from './fault-kinds.ts';
import type { SimulatorSettings } from '../settings.ts';

const STATUS_TEXT: Record<string, string> = {
  '500': 'Internal Server Error',
  '502': 'Bad Gateway',
  '503': 'Service Unavailable',
  '504': 'Gateway Time-out',
};

export function serverErrorAnswer(status: number, format: 'json' | 'html'): Answer {
  const text = STATUS_TEXT[status] ?? 'Error';
  if (format === 'html') return htmlAnswer(status, `${status} ${text}`);
  return jsonAnswer(status, {
    error: text,
    code: text.toUpperCase().replace(/\W/g, '_'),
    message: `${text}: try again later`,
  });
}

export function rateLimitedAnswer(settings: SimulatorSettings, limit: number, resetMs: number, nowMs: number): Answer {
  const seconds = Math.ceil(resetMs / 1000);
  const headers: Record<string, string> = {};
  if (settings.retryAfter === 'seconds') headers['Retry-After'] = String(seconds);
  // An HTTP date has whole seconds. It is rounded up: a client that obeys it must not come too early.
  if (settings.retryAfter === 'date')
    headers['Retry-After'] = new Date(Math.ceil((nowMs + resetMs) / 1000) * 1000).toUTCString();
  const body = { error: 'Too Many Requests', code: 'RATE_LIMIT_EXCEEDED' };
  return jsonAnswer(
    429,
    settings.rateBody ? { ...body, rateLimit: { limit, remaining: 0, reset: seconds } } : body,
    headers,
  );
}

export function staleCursorAnswer(settings: SimulatorSettings, ageMs: number | null): Answer {
  if (settings.staleAs === '502') return serverErrorAnswer(502, 'html');
  const code = ageMs === null ? 'CURSOR_INVALID' : 'CURSOR_EXPIRED';
  const message =
    ageMs === null
      ? 'Cursor could not be read'
      : `Cursor expired ${Math.max(0, Math.floor(ageMs / 60_000))} minute(s) ago`;
  return jsonAnswer(Number(settings.staleAs), { error: 'Bad Request', code, message });
}

/** @returns the answer that replaces a page; `null` for faults of another kind */
export function replacementAnswer(
  settings: SimulatorSettings,
  endpoint: 'events' | 'stream' | 'access',
  fault: FaultKind,
  nowMs: number,
): Answer | null {
  const error = /^(50\d)-(json|html)$/.exec(fault);
  if (error !== null) return serverErrorAnswer(Number(error[1]), error[2] === 'html' ? 'html' : 'json');
  if (fault === '429') return burstAnswer(settings, endpoint, nowMs);
  if (fault === 'html-200') return htmlAnswer(200, 'We will be right back');
  if (fault === 'error-200')
    return jsonAnswer(200, { error: 'Internal error', code: 'INTERNAL', message: 'upstream timed out' });
  if (fault === 'empty-200') return emptyAnswer(200, { 'Content-Type': 'application/json' });
  if (fault === 'redirect') return emptyAnswer(302, { Location: '/login' });
  return fault === 'token' ? invalidTokenAnswer(settings) : null;
}

/** A 429 that no budget explains. Where the endpoint announces its limit, the headers say that nothing remains. */
function burstAnswer(settings: SimulatorSettings, endpoint: 'events' | 'stream' | 'access', nowMs: number): Answer {
  const resetMs = settings.burstRetryAfter * 1000;
  const [limit, isAnnounced] =
    endpoint === 'events'
      ? [settings.eventsLimit, settings.eventsHeaders]
      : [settings.streamLimit, settings.streamHeaders && endpoint === 'stream'];
  const answer = rateLimitedAnswer(settings, limit, resetMs, nowMs);
  if (!isAnnounced || limit === 0) return answer;
  const resetSeconds = Math.ceil((settings.rateReset === 'seconds' ? resetMs : nowMs + resetMs) / 1000);
  const headers = { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': String(resetSeconds) };
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

const emptyAnswer = (status: number, headers: Record<string, string>): Answer => ({
  status,
  headers,
  parts: [],
  framing: 'length',
});

export function invalidTokenAnswer(settings: SimulatorSettings): Answer {
  const status = Number(settings.tokenRejectedAs);
  return jsonAnswer(status, { error: 'Invalid stream token', code: 'INVALID_STREAM_TOKEN' });
}
