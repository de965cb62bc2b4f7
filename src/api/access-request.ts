/** One renewal of stream access: a request that looks like the dashboard's, sent again as long as that can help. */
import { backoffDelayMs } from '../core/backoff.ts';
import { ConfigurationError, GaveUpError } from '../core/errors.ts';
import { excerpt, type Redactor } from '../core/redaction.ts';
import { SAFE, reachHint } from './api-errors.ts';
import { MAX_ERROR_BYTES, readErrorBody } from './http-answer.ts';
import type { HttpAnswer } from './http-exchange.ts';
import { TransportError } from './transport-error.ts';
import { dashboardHeaders } from './http-request-headers.ts';
import type { ClientParts } from './page-request.ts';
import { readRateLimit } from './rate-limit-headers.ts';
import { readAccess, type AccessOutcome } from './stream-access.ts';

const ACCESS_PATH = '/internal/dashboard/stream-access';

/** After this many answers that may be better next time, access counts as broken where `/events` can be used. */
const MAX_BAD_ANSWERS = 4;
const MAX_DEADLINE_MS = 30_000;

/** @throws ConfigurationError when the API was never reached, GaveUpError when it stayed away for `maxWaitMs` */
export async function requestAccess(parts: ClientParts): Promise<AccessOutcome> {
  const { options, http, redactor, waits, closing } = parts;
  const url = new URL(ACCESS_PATH, parts.eventsUrl.origin);
  const startedMs = performance.now();
  let badAnswers = 0;
  for (let failures = 1; ; failures += 1) {
    const outcome = await http.exchange({
      kind: 'access',
      method: 'POST',
      url,
      headers: dashboardHeaders(options, url.origin),
      body: '{}',
      deadlineMs: Math.min(options.pageTimeoutMs, MAX_DEADLINE_MS),
      maxBytes: () => MAX_ERROR_BYTES,
      signal: closing,
    });
    let waitMs = backoffDelayMs(failures, options.backoff);
    let reason: string;
    let askedByApi = false;
    if (outcome instanceof TransportError) {
      reason = `${outcome.failure}: ${outcome.message}`;
      // An API that has never answered may have another URL: it is tried for a shorter time.
      const patienceMs = http.hasAnswered ? options.maxWaitMs : options.firstContactMs;
      const isHopeless = !http.hasAnswered && outcome.failure === 'untrusted';
      if (isHopeless || performance.now() - startedMs + waitMs > patienceMs) {
        const text = `The API cannot be reached: POST ${url.href} failed ${failures} times, last with ${outcome.code}: ${outcome.message}.`;
        if (http.hasAnswered) throw new GaveUpError(`${text} ${SAFE}`);
        throw new ConfigurationError(`${text} ${reachHint(outcome.failure)}`);
      }
    } else {
      const verdict = judge(outcome, url.origin, redactor);
      if (typeof verdict !== 'string') return verdict;
      reason = verdict;
      badAnswers += 1;
      const { retryAfterMs } = readRateLimit(outcome.headers, outcome.receivedAtMs);
      waitMs = Math.max(waitMs, retryAfterMs ?? 0);
      askedByApi = retryAfterMs !== null;
      // A refusal of the moment (429) says when to come back; anything else that stays is broken.
      if (outcome.status !== 429 && badAnswers >= MAX_BAD_ANSWERS && options.endpoint === 'auto') {
        return { kind: 'denied', reason: `it stays broken (${reason})` };
      }
      if (performance.now() - startedMs + waitMs > options.maxWaitMs) {
        throw new GaveUpError(`Stream access was asked for ${failures} times and not given: ${reason}. ${SAFE}`);
      }
    }
    options.observe.retry?.('access');
    await waits.wait(`stream access: ${reason}`, waitMs, closing, askedByApi);
  }
}

/** The outcome, or why it should be tried again. */
function judge(answer: HttpAnswer, origin: string, redactor: Redactor): AccessOutcome | string {
  const { bytes, json, apiCode } = readErrorBody(answer);
  const { status } = answer;
  if (status === 200 || status === 201) {
    if (json === null) return `${status} without JSON: "${excerpt(bytes, redactor)}"`;
    return readAccess(json, origin, performance.now());
  }
  const said = `${status}${apiCode === null ? '' : ` ${apiCode}`}`;
  if (status === 404) return { kind: 'denied', reason: `this deployment has none (${said})` };
  if (status === 408 || status === 425 || status === 429 || status >= 500 || status < 400) return said;
  return { kind: 'denied', reason: `it is refused (${said}: "${excerpt(bytes, redactor)}")` };
}
