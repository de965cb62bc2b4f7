/** One renewal of stream access: the request that looks like the dashboard's, asked again as long as that can help. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffDelayMs, type BackoffRule } from '../core/backoff.ts';
import { ConfigurationError, GaveUpError } from '../core/errors.ts';
import { MAX_ERROR_BYTES, readErrorBody } from './http-answer.ts';
import { TransportError, type HttpAnswer, type HttpClient } from './http-exchange.ts';
import { excerpt, type Redactor } from '../core/redaction.ts';
import { dashboardHeaders, type Identity } from './http-request-headers.ts';
import type { ApiObserver } from './page-request.ts';
import { readRateLimit } from './rate-limit-headers.ts';
import { readAccess, type AccessOutcome } from './stream-access.ts';

export const ACCESS_PATH = '/internal/dashboard/stream-access';

/** Answers that may be better next time, after which access counts as broken where the other endpoint can be used. */
const MAX_BAD_ANSWERS = 4;
const MAX_DEADLINE_MS = 30_000;

export interface AccessRequestOptions {
  readonly http: HttpClient;
  readonly origin: string;
  readonly identity: Identity;
  readonly redactor: Redactor;
  readonly backoff: BackoffRule;
  readonly deadlineMs: number;
  readonly maxWaitMs: number;
  /** Whether there is another endpoint to fall back on. */
  readonly canFallBack: boolean;
  /** How long a server that cannot be reached is tried, and what that means: until it has answered once, the URL may be wrong. */
  readonly patience: () => { readonly waitMs: number; readonly firstContact: boolean };
  readonly signal: AbortSignal;
  readonly observe: ApiObserver;
  /** A request is about to be sent, an answer came. */
  readonly onSent: () => void;
  readonly onAnswered: () => void;
  readonly onWaiting: (reason: string, waitMs: number, askedByApi: boolean) => () => void;
}

/** @throws ConfigurationError when the API was never reached, GaveUpError when it stayed away for `maxWaitMs` */
export async function requestAccess(options: AccessRequestOptions): Promise<AccessOutcome> {
  const startedMs = performance.now();
  let badAnswers = 0;
  for (let failures = 1; ; failures += 1) {
    const answer = await send(options);
    let waitMs = backoffDelayMs(failures, options.backoff);
    let reason: string;
    let askedByApi = false;
    if (answer instanceof TransportError) {
      reason = `${answer.failure}: ${answer.message}`;
      const { waitMs: patienceMs, firstContact } = options.patience();
      const hopeless = firstContact && answer.failure === 'untrusted';
      if (hopeless || performance.now() - startedMs + waitMs > patienceMs)
        throw unreachable(options, answer, firstContact, failures);
    } else {
      const verdict = judge(answer, options);
      if (typeof verdict !== 'string') return verdict;
      reason = verdict;
      badAnswers += 1;
      const told = readRateLimit(answer.headers, Date.now()).retryAfterMs;
      if (told !== null) waitMs = Math.max(waitMs, told);
      askedByApi = told !== null;
      const overdue = performance.now() - startedMs + waitMs > options.maxWaitMs;
      // A refusal of the moment (429) says when to come back; anything else that stays is broken.
      if (answer.status !== 429 && badAnswers >= MAX_BAD_ANSWERS && options.canFallBack) {
        return { kind: 'denied', reason: `it stays broken (${reason})`, status: answer.status };
      }
      if (overdue)
        throw new GaveUpError(`Stream access was asked for ${failures} times and not given: ${reason}. ${SAFE}`);
    }
    options.observe.retry?.('access');
    const done = options.onWaiting(`stream access: ${reason}`, waitMs, askedByApi);
    try {
      await sleep(waitMs, undefined, { signal: options.signal });
    } finally {
      done();
    }
  }
}

const SAFE = 'What was loaded is safe: start again to go on.';

async function send(options: AccessRequestOptions): Promise<HttpAnswer | TransportError> {
  const startedMs = performance.now();
  options.onSent();
  try {
    const answer = await options.http.exchange({
      method: 'POST',
      url: new URL(ACCESS_PATH, options.origin),
      headers: dashboardHeaders(options.identity, options.origin),
      body: '{}',
      deadlineMs: Math.min(options.deadlineMs, MAX_DEADLINE_MS),
      maxBytes: () => MAX_ERROR_BYTES,
      signal: options.signal,
    });
    options.onAnswered();
    options.observe.request?.('access', answer.status, answer.requestMs);
    return answer;
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    options.observe.request?.('access', null, performance.now() - startedMs);
    return error;
  }
}

/** The outcome, or why it should be tried again. */
function judge(answer: HttpAnswer, options: AccessRequestOptions): AccessOutcome | string {
  const { bytes, json, apiCode } = readErrorBody(answer);
  const { status } = answer;
  if (status === 200 || status === 201) {
    if (json === null) return `${status} without JSON: "${excerpt(bytes, options.redactor)}"`;
    return readAccess(json, options.origin, performance.now());
  }
  const said = `${status}${apiCode === null ? '' : ` ${apiCode}`}`;
  if (status === 404) return { kind: 'denied', reason: `this deployment has none (${said})`, status };
  if (status === 408 || status === 425 || status === 429 || status >= 500 || status < 400) return said;
  return { kind: 'denied', reason: `it is refused (${said}: "${excerpt(bytes, options.redactor)}")`, status };
}

function unreachable(
  options: AccessRequestOptions,
  error: TransportError,
  firstContact: boolean,
  tries: number,
): Error {
  const what = `POST ${options.origin}${ACCESS_PATH} failed ${tries} times, last with ${error.code}: ${error.message}.`;
  if (!firstContact) return new GaveUpError(`The API cannot be reached: ${what} ${SAFE}`, { cause: error });
  return new ConfigurationError(`The API cannot be reached: ${what} ${reachHint(error)}`, { cause: error });
}

/** What to do about an API that was never reached. */
export function reachHint(error: TransportError): string {
  return error.failure === 'untrusted'
    ? 'Its certificate is not accepted: if it is signed by your own authority, name that in NODE_EXTRA_CA_CERTS.'
    : 'Check API_BASE_URL, the network, and HTTP_PROXY / HTTPS_PROXY / NO_PROXY.';
}
