/** A request for a page that brought none: what it was, as the retry policy and as people want it. */
import { readErrorBody, readRequestId } from './http-answer.ts';
import { TransportError } from './http-exchange.ts';
import { excerpt, type Redactor } from '../core/redaction.ts';
import { ConfigurationError, GaveUpError, type ErrorLocation, type JobErrorOptions } from '../core/errors.ts';
import { reachHint } from './access-request.ts';
import type { Sent } from './api-sender.ts';
import type { PageRequest } from './page-request.ts';
import { readRateLimit } from './rate-limit-headers.ts';
import type { PageOutcome } from './retry-policy.ts';

/** How every final message about a page ends. */
export const SAFE = 'What was loaded is safe: start again to go on.';

export interface PageFailure {
  readonly outcome: PageOutcome;
  readonly status: number | null;
  /** What came back: status, code, request id, the first 200 characters. Holds no secrets. */
  readonly cameBack: string;
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
}

export function readFailure(sent: Sent, redactor: Redactor): PageFailure {
  const answer = sent.outcome;
  if (answer instanceof TransportError) {
    return {
      outcome: { kind: 'failure', failure: answer.failure },
      status: null,
      cameBack: `${answer.failure} (${answer.code}): ${answer.message}`,
      requestId: null,
      retryAfterMs: null,
    };
  }
  const { status } = answer;
  const body = readErrorBody(answer);
  const id = body.requestId ?? readRequestId(answer);
  const requestId = id === null ? null : redactor.redact(id);
  const parts = [String(status)];
  if (body.apiCode !== null) parts.push(body.apiCode);
  if (requestId !== null) parts.push(`(request id ${requestId})`);
  if (status >= 300 && status < 400) parts.push(`redirect to ${redirectTarget(sent)}, not followed`);
  const shown = excerpt(body.bytes, redactor);
  if (shown !== '') parts.push(`"${shown}"`);
  return {
    outcome: { kind: 'answer', status, apiCode: body.apiCode },
    status,
    cameBack: redactor.redact(parts.join(' ')),
    requestId,
    retryAfterMs: readRateLimit(answer.headers, answer.receivedAtMs).retryAfterMs,
  };
}

/** Origin and path only: what stands behind them can be a secret of somebody else's. */
function redirectTarget(sent: Sent): string {
  const location = sent.outcome instanceof TransportError ? null : sent.outcome.headers.get('location');
  if (location === null || !URL.canParse(location, sent.url.origin)) return 'nowhere';
  const target = new URL(location, sent.url.origin);
  return `${target.origin}${target.pathname}`;
}

/** What was asked: path, window, page, age of the cursor. */
export function describeRequest(request: PageRequest, path: string | null): string {
  const age = cursorAgeMs(request);
  const cursor = age === null ? 'without a cursor' : `with a cursor ${Math.round(age / 1000)} s old`;
  return `page ${request.page} of window ${request.windowId}${path === null ? '' : ` (GET ${path})`}, ${cursor}`;
}

/** Since its response arrived; `null` when no cursor is sent. */
export function cursorAgeMs(request: PageRequest): number | null {
  if (request.cursor === null) return null;
  return Math.max(0, Date.now() - (request.cursorReceivedAtMs ?? Date.now()));
}

export function locate(
  request: PageRequest,
  failure: PageFailure | null,
  path: string | null,
  attempts: number,
): ErrorLocation {
  const age = cursorAgeMs(request);
  const { status, requestId } = failure ?? { status: null, requestId: null };
  return {
    windowId: request.windowId,
    page: request.page,
    attempts,
    ...(path === null ? {} : { path }),
    ...(age === null ? {} : { cursorAgeMs: age }),
    ...(status === null ? {} : { status }),
    ...(requestId === null ? {} : { requestId }),
  };
}

/**
 * A page that will not come.
 * @param about `settings`: nothing was ever served, so the settings are suspected; `transport`: why no answer came
 */
export function finalError(
  request: PageRequest,
  attempts: number,
  failure: PageFailure,
  path: string | null,
  about: { readonly settings: boolean; readonly transport: TransportError | null },
): ConfigurationError | GaveUpError {
  const times = attempts === 1 ? 'once' : `${attempts} times`;
  const text = `${describeRequest(request, path)}, was asked for ${times} and not served. Last answer: ${failure.cameBack}.`;
  const options: JobErrorOptions = {
    location: locate(request, failure, path, attempts),
    cause: about.transport ?? undefined,
  };
  if (!about.settings) return new GaveUpError(`Gave up: ${text} ${SAFE}`, options);
  const hint = about.transport === null ? 'Check API_BASE_URL.' : reachHint(about.transport);
  return new ConfigurationError(`The API does not serve pages here: ${text} ${hint}`, options);
}

/** No page at all for longer than allowed. */
export function noPageError(
  request: PageRequest,
  attempts: number,
  failure: PageFailure,
  path: string | null,
  waited: { readonly forMs: number; readonly allowedMs: number },
): GaveUpError {
  return new GaveUpError(
    `Gave up: no page came for ${Math.round(waited.forMs / 1000)} s, and --max-wait allows ` +
      `${Math.round(waited.allowedMs / 1000)} s. Asked for: ${describeRequest(request, path)}, ${attempts} times. ` +
      `Last answer: ${failure.cameBack}. ${SAFE}`,
    { location: locate(request, failure, path, attempts) },
  );
}
