/** What one request for a page brought: the page, or a failure as the retry policy and as people want it. */
import { excerpt, type Redactor } from '../core/redaction.ts';
import type { Sent } from './api-sender.ts';
import { isFromCache } from './cached-answer.ts';
import { contentEncodingOf, errorBytesOf, readDamage, readErrorBody, readRequestId, whyNoPage } from './http-answer.ts';
import { mayHoldPage, type HttpAnswer } from './http-exchange.ts';
import { TransportError } from './transport-error.ts';
import type { ClientParts, PageAnswer, RawPage } from './page-request.ts';
import { readDateMs } from './rate-limit-headers.ts';
import { refusalOf, type Refusal } from './refusal.ts';
import { refusalInBody } from './refusal-in-body.ts';
import type { Outcome } from './retry-policy.ts';

export interface PageFailure {
  readonly kind: 'failure';
  readonly outcome: Outcome;
  /** The path that was asked; `null` when a worker found the fault. */
  readonly path: string | null;
  readonly status: number | null;
  /** What came back: status, code, request id, the first 200 characters. Holds no secrets. */
  readonly cameBack: string;
  readonly requestId: string | null;
  readonly fromCache: boolean;
  /** See {@link BROKEN_EVENTS}. */
  readonly isBroken?: boolean;
}

/** An answer that is no failure. The caller knows what it asked, and whom. */
type Answered =
  | Exclude<PageAnswer, { readonly kind: 'page' }>
  | { readonly kind: 'page'; readonly page: Omit<RawPage, 'endpoint' | 'cursor' | 'limit'> };

/** An API that echoes what it was sent could put the key anywhere: the redactor takes it out. */
export function readOutcome(
  sent: Sent,
  { redactor, wire }: Pick<ClientParts, 'redactor' | 'wire'>,
): PageFailure | Answered {
  const { outcome, url } = sent;
  if (outcome instanceof TransportError) {
    return {
      ...NO_ANSWER,
      outcome: { kind: 'failure', failure: outcome.failure },
      path: url.pathname,
      cameBack: `${outcome.failure} (${outcome.code}): ${outcome.message}`,
    };
  }
  if (outcome.status === NO_CONTENT) return readPage({ ...outcome, ...emptyPage() }, url, redactor, true);
  const refusal = refusalInBody(outcome);
  if (refusal === null && mayHoldPage(outcome.status)) return readPage(outcome, url, redactor);
  return readRefusal(outcome, url, redactor, refusal ?? refusalOf(outcome, wire.later));
}

const NO_ANSWER = { kind: 'failure', status: null, requestId: null, fromCache: false } as const;

const NO_CONTENT = 204;

/** What a 204 says: nothing follows. The walk judges it like any other empty page. */
function emptyPage(): Pick<HttpAnswer, 'body' | 'bodyBytes'> {
  const { buffer } = Uint8Array.from(Buffer.from('{"data":[],"hasMore":false}'));
  return { body: buffer, bodyBytes: buffer.byteLength };
}

/** A 200 that is no page. @param path `null` when a worker found it */
export function faultyPage(cameBack: string, path: string | null, requestId: string | null = null): PageFailure {
  return { ...NO_ANSWER, outcome: { kind: 'faulty' }, path, status: 200, cameBack, requestId };
}

function readPage(answer: HttpAnswer, url: URL, redactor: Redactor, hasNoContent = false): PageFailure | Answered {
  if (answer.overflowed) return { kind: 'too-large', maxEvents: null };
  const fault = whyNoPage(answer);
  if (fault !== null) {
    const shown = excerpt(errorBytesOf(answer), redactor);
    const cameBack = `${answer.status}, but ${fault}${shown === '' ? '' : `: "${shown}"`}`;
    const id = readRequestId(answer);
    return faultyPage(redactor.redact(cameBack), url.pathname, id === null ? null : redactor.redact(id));
  }
  const { body, bodyBytes, leftOutAt, receivedAtMs, headers } = answer;
  const serverDateMs = readDateMs(headers);
  const fromCache = isFromCache(answer.headers);
  const said = readDamage(answer);
  const damage = said === null ? null : redactor.redact(said);
  const contentEncoding = contentEncodingOf(answer);
  const page = {
    url,
    headers,
    body,
    bodyBytes,
    leftOutAt,
    contentEncoding,
    receivedAtMs,
    serverDateMs,
    fromCache,
    damage,
    hasNoContent,
  };
  return { kind: 'page', page };
}

function readRefusal(answer: HttpAnswer, url: URL, redactor: Redactor, refusal: Refusal): PageFailure {
  const { status } = answer;
  const { apiCode, bytes, ...body } = readErrorBody(answer);
  const id = body.requestId ?? readRequestId(answer);
  const requestId = id === null ? null : redactor.redact(id);
  const parts = [String(status)];
  if (apiCode !== null) parts.push(apiCode);
  if (requestId !== null) parts.push(`(request id ${requestId})`);
  if (status >= 300 && status < 400) parts.push(`redirect to ${redirectTarget(answer, url)}, not followed`);
  const shown = excerpt(bytes, redactor);
  if (shown !== '') parts.push(`"${shown}"`);
  return {
    kind: 'failure',
    outcome: { kind: 'answer', refusal },
    path: url.pathname,
    status,
    cameBack: redactor.redact(parts.join(' ')),
    requestId,
    fromCache: isFromCache(answer.headers),
  };
}

/** Origin and path only: what stands behind them can be a secret of somebody else's. */
function redirectTarget(answer: HttpAnswer, url: URL): string {
  const location = answer.headers.get('location');
  if (location === null || !URL.canParse(location, url.origin)) return 'nowhere';
  const target = new URL(location, url.origin);
  return `${target.origin}${target.pathname}`;
}
