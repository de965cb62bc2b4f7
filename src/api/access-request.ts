/** One renewal of stream access: a request that looks like the dashboard's, sent again as long as that can help. */
import { backoffDelayMs } from '../core/backoff.ts';
import { ConfigurationError, GaveUpError, UnreachableError } from '../core/errors.ts';
import { excerpt } from '../core/redaction.ts';
import { runningMs } from '../core/running-time.ts';
import { SAFE, reachHint } from './api-errors.ts';
import { DATASYNC_ADVICE } from './page-wire.ts';
import { MAX_ERROR_BYTES, readErrorBody } from './http-answer.ts';
import { mayHoldPage, type HttpAnswer } from './http-exchange.ts';
import { dashboardHeaders } from './http-request-headers.ts';
import type { ClientParts } from './page-request.ts';
import { refusalOf } from './refusal.ts';
import { isRefusal, judge, type Outcome, type Situation } from './retry-policy.ts';
import { readAccess, type AccessAsk, type AccessOutcome } from './stream-access.ts';
import { TransportError } from './transport-error.ts';

const ACCESS_PATH = '/internal/dashboard/stream-access';

/** After this many answers that may be better next time, access counts as broken where `/events` can be used. */
const MAX_BAD_ANSWERS = 4;
/** Where access was granted before, they must have come for this long, too. */
const BROKEN_FOR_MS = 30_000;
const MAX_DEADLINE_MS = 30_000;

/** It is not about a page. */
const NO_PAGE = {
  endpoint: 'access',
  limit: 1,
  cursorAgeMs: null,
  cursorLifeMs: null,
  bounded: false,
  suspiciousFailures: 0,
  tokensRefused: 0,
  othersServed: null,
  freeRetriesLeft: 0,
} as const satisfies Partial<Situation>;

/** @throws ConfigurationError when the API was never reached, GaveUpError when it stayed away for `maxWaitMs` */
export async function requestAccess(
  parts: ClientParts,
  { wasGranted, isTriedOnce }: AccessAsk,
): Promise<AccessOutcome> {
  const { options, http, waits, silence, closing } = parts;
  const url = new URL(ACCESS_PATH, parts.wire.url.origin);
  const startedMs = runningMs();
  let badAnswers = 0;
  let refusals = 0;
  for (let failures = 1; ; failures += 1) {
    const answer = await silence.during(ACCESS_PATH, () =>
      http.exchange({
        kind: 'access',
        method: 'POST',
        url,
        headers: dashboardHeaders(options, url.origin),
        body: '{}',
        deadlineMs: Math.min(options.pageTimeoutMs, MAX_DEADLINE_MS),
        maxBytes: () => MAX_ERROR_BYTES,
        signal: closing,
      }),
    );
    const triedForMs = runningMs() - startedMs;
    let waitMs = backoffDelayMs(failures, options.backoff);
    let reason: string;
    let toldWaitMs: number | null = null;
    if (answer instanceof TransportError) {
      reason = `${answer.failure}: ${answer.message}`;
      // An API that has never answered may have another URL: it is tried for a shorter time.
      const patienceMs = http.hasAnswered ? options.maxWaitMs : options.firstContactMs;
      const isHopeless = !http.hasAnswered && answer.failure === 'untrusted';
      if (isHopeless || triedForMs + waitMs > patienceMs) {
        const text = `The API cannot be reached: POST ${url.href} failed ${failures} times, last with ${answer.code}: ${answer.message}.`;
        if (http.hasAnswered) throw new GaveUpError(`${text} ${SAFE}`);
        const said = `${text} ${reachHint(answer.failure, DATASYNC_ADVICE)}`;
        throw isHopeless ? new ConfigurationError(said) : new UnreachableError(said);
      }
    } else {
      const { outcome, json, said } = readAnswer(answer, parts);
      if (outcome === null) return readAccess(json, url.origin, performance.now());
      refusals = outcome.kind === 'answer' && isRefusal(outcome.refusal) ? refusals + 1 : 0;
      const verdict = judge(outcome, {
        ...NO_PAGE,
        hasKeyWorked: wasGranted,
        hasPathWorked: wasGranted,
        failures,
        refusals,
        refusedForMs: triedForMs,
        isLastTry: triedForMs + waitMs > options.maxWaitMs,
      });
      if (verdict === 'end' || verdict === 'end-for-key') return { kind: 'denied', reason: `it is refused (${said})` };
      if (verdict !== 'later') badAnswers += 1;
      const isBroken = badAnswers >= MAX_BAD_ANSWERS && (!wasGranted || triedForMs >= BROKEN_FOR_MS);
      if (isBroken && options.endpoint === 'auto') return { kind: 'denied', reason: `it stays broken (${said})` };
      toldWaitMs = outcome.kind === 'answer' ? outcome.refusal.toldWaitMs : null;
      waitMs = Math.max(waitMs, toldWaitMs ?? 0);
      reason = said;
      if (triedForMs + waitMs > options.maxWaitMs) {
        throw new GaveUpError(`Stream access was asked for ${failures} times and not given: ${reason}. ${SAFE}`);
      }
    }
    if (isTriedOnce) throw new GaveUpError(`Stream access was asked for and not given: ${reason}`);
    options.observe.retry?.('access');
    await waits.wait(`stream access: ${reason}`, waitMs, closing, toldWaitMs !== null);
  }
}

/** `outcome` is `null` for an answer that can be read; `said` is what came back, without secrets. */
function readAnswer(
  answer: HttpAnswer,
  { redactor }: ClientParts,
): { readonly outcome: Outcome | null; readonly json: unknown; readonly said: string } {
  const { bytes, json, apiCode } = readErrorBody(answer);
  const { status } = answer;
  const said = `${status}${apiCode === null ? '' : ` ${apiCode}`}: "${excerpt(bytes, redactor)}"`;
  if (!mayHoldPage(status) && status !== 201) {
    return { outcome: { kind: 'answer', refusal: refusalOf(answer) }, json, said };
  }
  return { outcome: json === null ? { kind: 'faulty' } : null, json, said };
}
