/**
 * Asks the API for one page and does not come back before it has one, or a reason. What an answer means is decided in
 * retry-policy.ts, when a request may start in pacer.ts; here both are carried out.
 */
import { backoffDelayMs } from '../core/backoff.ts';
import { ConfigurationError, KeyRefusedError, type GaveUpError } from '../core/errors.ts';
import { reachHint } from './access-request.ts';
import { ApiSender, type Sent, type Wait } from './api-sender.ts';
import { bodyOf, findFault, isFromCache, readContentEncoding, readRequestId } from './http-answer.ts';
import { TransportError, type HttpAnswer } from './http-exchange.ts';
import { excerpt } from '../core/redaction.ts';
import { AttemptBook, MAX_FAILURES, MAX_FAULTS, type PageAttempts } from './page-attempts.ts';
import {
  SAFE,
  cursorAgeMs,
  describeRequest,
  finalError,
  locate,
  noPageError,
  readFailure,
  type PageFailure,
} from './page-failure.ts';
import type { ApiClientOptions, EndpointName, PageAnswer, PageRequest, RawPage } from './page-request.ts';
import { readDateMs } from './rate-limit-headers.ts';
import { decide, isSuspicious } from './retry-policy.ts';
import { StreamUnavailableError } from './stream-access.ts';

export type { ApiClientOptions, ApiObserver, EndpointName, PageAnswer, PageRequest, RawPage } from './page-request.ts';

/** Failures of one page from which each is worth a warning. */
const WARN_FROM_FAILURE = 3;
/** Tokens rejected in a row for one page after which it waits before it is asked for again. */
const TOKENS_WITHOUT_WAIT = 2;
/** A check asks for one event: it need not wait as long as a page. */
const CHECK_DEADLINE_MS = 20_000;
/** A check that found the API down is made again after so many more failures. */
const CHECK_AGAIN_AFTER = 3;

/** One page's way through {@link ApiClient.fetchPage}. */
interface Fetch {
  readonly request: PageRequest;
  readonly endpoint: EndpointName;
  readonly attempts: PageAttempts;
  /** The limit that was sent. */
  readonly limit: number;
  /** When the page was first asked for by this call, ms of `performance.now()`. */
  readonly startedMs: number;
}

export class ApiClient {
  readonly #options: ApiClientOptions;
  readonly #sender: ApiSender;
  readonly #attempts = new AttemptBook();
  #endpoint: EndpointName;
  #streamLost: string | null = null;
  /** When an endpoint last served anything, ms of `performance.now()`. */
  readonly #servedMs: Record<EndpointName, number> = { stream: -Infinity, events: -Infinity };

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.#sender = new ApiSender(options);
    this.#endpoint = options.endpoint === 'events' ? 'events' : 'stream';
  }

  /** Where pages come from. Changes once at most, from `stream` to `events`. */
  get endpoint(): EndpointName {
    return this.#endpoint;
  }

  /** All requests sent, stream access and checks included. */
  get requests(): number {
    return this.#sender.requests;
  }

  /** Why nothing moves at the moment, for people who watch; `null` when requests are on their way. */
  get waiting(): Wait | null {
    return this.#sender.waiting(this.#endpoint);
  }

  /**
   * First contact: finds out which endpoint is used. With `endpoint: 'events'` nothing is asked, because each request
   * there is a tenth of a minute's budget; the first page is the first contact then, and throws what this would.
   * @throws ConfigurationError when the API cannot be reached, KeyRefusedError when stream access is demanded and not given
   */
  async open(): Promise<{ endpoint: EndpointName; reason: string }> {
    if (this.#options.endpoint === 'events') return { endpoint: 'events', reason: 'as configured' };
    try {
      const access = await this.#sender.access.token();
      return { endpoint: 'stream', reason: `stream access was granted (${access.url.pathname})` };
    } catch (error) {
      return { endpoint: 'events', reason: this.#loseStream(error) };
    }
  }

  /**
   * @returns a page, or what the walk must do instead
   * @throws KeyRefusedError, GaveUpError (with the time to come back, if there is one), ConfigurationError before anything
   *   was ever served, the signal's reason
   */
  async fetchPage(request: PageRequest): Promise<PageAnswer> {
    const endpoint = this.#endpoint;
    const startedMs = performance.now();
    for (;;) {
      request.signal.throwIfAborted();
      if (this.#endpoint !== endpoint) return this.#endpointChanged();
      const attempts = this.#attempts.of(request);
      const limit = Math.max(1, request.limit - attempts.limitReduction);
      attempts.sent += 1;
      const fetch: Fetch = { request, endpoint, attempts, limit, startedMs };
      try {
        const answer = await this.#ask(fetch);
        if (answer !== null) return answer;
      } catch (error) {
        if (!(error instanceof StreamUnavailableError)) throw error;
        this.#loseStream(error);
        return this.#endpointChanged();
      }
    }
  }

  /**
   * A worker found that a page was none. Counts like any other bad answer to this request, and waits before it is asked
   * for again; the next request for it asks for one event less.
   * @throws GaveUpError when it happened too often; the signal's reason
   */
  async faultyPage(request: PageRequest, fault: string, detail: string): Promise<void> {
    const attempts = this.#attempts.of(request);
    const startedMs = attempts.firstFailureMs ?? performance.now();
    const fetch: Fetch = { request, endpoint: this.#endpoint, attempts, limit: request.limit, startedMs };
    const cameBack = this.#sender.redactor.redact(`200, ${fault}: ${detail}`);
    await this.#retryFaulty(
      fetch,
      { outcome: { kind: 'faulty' }, status: 200, cameBack, requestId: null, retryAfterMs: null },
      null,
    );
  }

  /** Ends all requests. */
  async close(): Promise<void> {
    await this.#sender.close();
  }

  /** One request: an answer for the caller, or `null` when it is time for the next. */
  async #ask(fetch: Fetch): Promise<PageAnswer | null> {
    const { request, endpoint } = fetch;
    const sent = await this.#sender.send({
      endpoint,
      query: pageQuery(request, endpoint, fetch.limit),
      signal: request.signal,
      deadlineMs: this.#options.pageTimeoutMs,
    });
    const { outcome } = sent;
    if (outcome instanceof TransportError || outcome.status !== 200) {
      return this.#handle(fetch, sent, readFailure(sent, this.#sender.redactor));
    }
    if (outcome.overflowed) return { kind: 'too-large' };
    const encoding = readContentEncoding(outcome);
    const fault = findFault(outcome, encoding);
    if (fault === null && encoding !== null)
      return { kind: 'page', page: this.#accept(fetch, sent, outcome, encoding) };
    const shown = encoding === 'identity' ? excerpt(bodyOf(outcome), this.#sender.redactor) : '';
    const cameBack = `200, but ${fault ?? ''}${shown === '' ? '' : `: "${shown}"`}`;
    const requestId = this.#requestId(outcome);
    await this.#retryFaulty(
      fetch,
      { outcome: { kind: 'faulty' }, status: 200, cameBack, requestId, retryAfterMs: null },
      sent,
    );
    return null;
  }

  /** It goes into logs: an API that echoes what it was sent could put the key there. */
  #requestId(answer: HttpAnswer): string | null {
    const id = readRequestId(answer);
    return id === null ? null : this.#sender.redactor.redact(id);
  }

  #accept(fetch: Fetch, sent: Sent, answer: HttpAnswer, contentEncoding: RawPage['contentEncoding']): RawPage {
    if (sent.access !== null) this.#sender.access.accepted();
    this.#servedMs[fetch.endpoint] = performance.now();
    return {
      body: answer.body,
      bodyBytes: answer.bodyBytes,
      contentEncoding,
      limit: fetch.limit,
      receivedAtMs: answer.receivedAtMs,
      serverDateMs: readDateMs(answer.headers),
      requestId: this.#requestId(answer),
      fromCache: isFromCache(answer),
      endpoint: fetch.endpoint,
    };
  }

  /** Anything but a 200: asks the policy, and does what it says. */
  async #handle(fetch: Fetch, sent: Sent, failure: PageFailure): Promise<PageAnswer | null> {
    const { request, attempts, endpoint } = fetch;
    attempts.firstFailureMs ??= performance.now();
    const suspicious = isSuspicious(failure.outcome) ? 1 : 0;
    const action = decide(failure.outcome, {
      endpoint,
      cursorAgeMs: cursorAgeMs(request),
      cursorLifeMs: request.cursorLifeMs,
      bounded: endpoint === 'stream' && (request.sinceMs !== null || request.untilMs !== null),
      suspiciousFailures: attempts.suspiciousFailures + suspicious,
      failures: attempts.failures + 1,
      othersServed: this.#othersServed(fetch),
      freeRetriesLeft: attempts.freeRetriesLeft,
    });
    const detail = `${describeRequest(request, sent.url.pathname)}: ${failure.cameBack}`;
    switch (action) {
      case 'again-at-once':
        attempts.freeRetriesLeft -= 1;
        this.#options.observe?.retry?.('closed-connection');
        return null;
      case 'wait-for-rate-limit':
        this.#options.observe?.retry?.('rate-limit');
        this.#options.logger.debug(
          { ...locate(request, failure, sent.url.pathname, attempts.sent) },
          'the API asked to wait (429)',
        );
        if (this.#withoutPageMs(fetch) > this.#options.maxWaitMs) throw this.#noPage(fetch, failure, sent.url);
        return null;
      case 'stale-cursor':
        return { kind: 'stale-cursor', detail };
      case 'outside-range':
        return { kind: 'outside-range', detail };
      case 'renew-token':
        await this.#renewToken(fetch, sent, failure);
        return null;
      case 'refuse-key':
        throw new KeyRefusedError(
          `The API refuses the key: ${detail}. Check TARGET_API_KEY; a key works for 3 hours from its first use. ${SAFE}`,
          {
            location: locate(request, failure, sent.url.pathname, attempts.sent),
          },
        );
      case 'check-cursor':
        if (!(await this.#check(endpoint, request.signal))) attempts.checkedInVainAt = attempts.failures + 1;
        break;
      case 'check-stream':
        if (this.#options.endpoint === 'auto' && (await this.#check('events', request.signal))) {
          // Once could be an outage that has just ended.
          if (attempts.streamSuspected) {
            throw new StreamUnavailableError(`it fails while /events works (${failure.cameBack})`, failure.status);
          }
          attempts.streamSuspected = true;
        }
        break;
      case 'give-up':
        throw this.#final(fetch, failure, sent.url, sent.outcome instanceof TransportError ? sent.outcome : null);
      case 'backoff':
        break;
    }
    attempts.failures += 1;
    attempts.suspiciousFailures += suspicious;
    // What came from a cache would come again.
    if (sent.outcome instanceof TransportError) this.#checkFirstContact(fetch, sent.outcome);
    else if (isFromCache(sent.outcome)) attempts.limitReduction += 1;
    if (failure.retryAfterMs !== null) this.#sender.pause(endpoint, failure.retryAfterMs);
    await this.#backOff(fetch, failure, sent.url, failure.status === null ? 'transport' : 'server-error');
    return null;
  }

  /** Whether the endpoint served others since this page first failed; `null` when it is time to find out. */
  #othersServed({ endpoint, attempts }: Fetch): boolean | null {
    if (this.#servedMs[endpoint] > (attempts.firstFailureMs ?? Infinity)) return true;
    if (attempts.checkedInVainAt !== null && attempts.failures + 1 < attempts.checkedInVainAt + CHECK_AGAIN_AFTER)
      return false;
    return null;
  }

  /** Whether an endpoint serves one event, asked for without a cursor. */
  async #check(endpoint: EndpointName, signal: AbortSignal): Promise<boolean> {
    const deadlineMs = Math.min(CHECK_DEADLINE_MS, this.#options.pageTimeoutMs);
    const { outcome } = await this.#sender.send({
      endpoint,
      query: new URLSearchParams({ limit: '1' }),
      signal,
      deadlineMs,
    });
    const works =
      !(outcome instanceof TransportError) &&
      outcome.status === 200 &&
      findFault(outcome, readContentEncoding(outcome)) === null;
    if (works) this.#servedMs[endpoint] = performance.now();
    return works;
  }

  async #renewToken(fetch: Fetch, sent: Sent, failure: PageFailure): Promise<void> {
    const { attempts } = fetch;
    attempts.tokenRejections += 1;
    this.#options.observe?.retry?.('token');
    if (sent.access !== null) this.#sender.access.rejected(sent.access, failure.status ?? 0);
    if (attempts.tokenRejections % (TOKENS_WITHOUT_WAIT + 1) === 0) {
      attempts.failures += 1;
      await this.#backOff(fetch, failure, sent.url, 'token');
    }
  }

  async #retryFaulty(fetch: Fetch, failure: PageFailure, sent: Sent | null): Promise<void> {
    const { attempts } = fetch;
    attempts.firstFailureMs ??= performance.now();
    attempts.failures += 1;
    attempts.faults += 1;
    // A bad page that was cached comes back bad: what is asked for again must differ.
    attempts.limitReduction += 1;
    if (attempts.faults >= MAX_FAULTS) throw this.#final(fetch, failure, sent?.url ?? null, null);
    await this.#backOff(fetch, failure, sent?.url ?? null, 'faulty-page');
  }

  async #backOff(fetch: Fetch, failure: PageFailure, url: URL | null, kind: string): Promise<void> {
    const { request, attempts } = fetch;
    const waitMs = Math.max(backoffDelayMs(attempts.failures, this.#sender.backoff), 0);
    if (attempts.failures >= MAX_FAILURES && this.#othersServed(fetch) === true)
      throw this.#final(fetch, failure, url, null);
    if (this.#withoutPageMs(fetch) + waitMs > this.#options.maxWaitMs) throw this.#noPage(fetch, failure, url);
    this.#options.observe?.retry?.(kind);
    const fields = {
      ...locate(request, failure, url?.pathname ?? null, attempts.sent),
      cameBack: failure.cameBack,
      waitMs: Math.round(waitMs),
    };
    if (attempts.failures >= WARN_FROM_FAILURE)
      this.#options.logger.warn(fields, 'a page failed; it is asked for again');
    else this.#options.logger.debug(fields, 'a page failed; it is asked for again');
    await this.#sender.wait(`the API failed: ${failure.cameBack}`, waitMs, request.signal);
  }

  /** Since the last page of all, or since this one was asked for, whichever is later. */
  #withoutPageMs(fetch: Fetch): number {
    return performance.now() - Math.max(fetch.startedMs, this.#servedMs.stream, this.#servedMs.events);
  }

  #checkFirstContact(fetch: Fetch, error: TransportError): void {
    if (this.#sender.answeredOnce || !this.#sender.firstContactFailed()) return;
    const failed = `${describeRequest(fetch.request, null)} failed ${fetch.attempts.sent} times, last with ${error.code}: ${error.message}`;
    throw new ConfigurationError(`The API cannot be reached: ${failed}. ${reachHint(error)}`, {
      cause: error,
      location: locate(fetch.request, null, null, fetch.attempts.sent),
    });
  }

  #final(fetch: Fetch, failure: PageFailure, url: URL | null, transport: TransportError | null): Error {
    // Before anything was ever served, an answer that will not change means that the settings are wrong.
    const served = Math.max(this.#servedMs.stream, this.#servedMs.events) > -Infinity;
    const settings = !served && failure.outcome.kind !== 'faulty';
    return finalError(fetch.request, fetch.attempts.sent, failure, url?.pathname ?? null, { settings, transport });
  }

  #noPage(fetch: Fetch, failure: PageFailure, url: URL | null): GaveUpError {
    const waited = { forMs: this.#withoutPageMs(fetch), allowedMs: this.#options.maxWaitMs };
    return noPageError(fetch.request, fetch.attempts.sent, failure, url?.pathname ?? null, waited);
  }

  /** Falls back to `/events` where that is allowed, once. Returns the reason; throws when it is not allowed, or no matter of access. */
  #loseStream(error: unknown): string {
    if (!(error instanceof StreamUnavailableError)) throw error;
    const reason = `stream access cannot be used: ${this.#sender.redactor.redact(error.message)}`;
    if (this.#options.endpoint === 'stream') {
      throw new KeyRefusedError(
        `--endpoint stream was asked for, but ${reason}. Use --endpoint auto, or check TARGET_API_KEY. ${SAFE}`,
      );
    }
    if (this.#endpoint === 'stream') {
      this.#endpoint = 'events';
      this.#streamLost = reason;
      this.#options.logger.warn({ endpoint: 'events', reason }, 'the run goes on over /events');
    }
    return this.#streamLost ?? reason;
  }

  #endpointChanged(): PageAnswer {
    return { kind: 'endpoint-changed', detail: this.#streamLost ?? '' };
  }
}

function pageQuery(request: PageRequest, endpoint: EndpointName, limit: number): URLSearchParams {
  const query = new URLSearchParams({ limit: String(limit) });
  if (request.cursor !== null) query.set('cursor', request.cursor);
  if (endpoint === 'stream') {
    if (request.sinceMs !== null) query.set('since', String(Math.floor(request.sinceMs) - 1));
    if (request.untilMs !== null) query.set('until', String(Math.ceil(request.untilMs) + 1));
  }
  return query;
}
