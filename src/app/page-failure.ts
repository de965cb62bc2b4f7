/** A request for a page that brought none: what it was, as the retry policy and as people want it. */
import { readErrorBody, readRequestId } from './http-answer.ts';
import { TransportError } from './http-exchange.ts';
import { excerpt, type Redactor } from './http-redaction.ts';
import type { ErrorLocation } from '../core/errors.ts';
import type { Sent } from './api-sender.ts';
import type { PageRequest } from './page-request.ts';
import { readRateLimit } from './rate-limit-headers.ts';
import type { PageOutcome } from './retry-policy.ts';

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
  const requestId = body.requestId ?? readRequestId(answer);
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
