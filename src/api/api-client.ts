/**
 * Asks the API for one page and does not come back before it has one, or a reason. retry-policy.ts and page-attempts.ts
 * decide what follows from a failure, pacer.ts decides when a request may start. This file carries out both.
 */
import type { BackoffRule } from '../core/backoff.ts';
import { PageBuffers } from '../core/page-buffers.ts';
import { Redactor } from '../core/redaction.ts';
import { runningMs } from '../core/running-time.ts';
import { isOpen, type WalkBounds } from '../core/walk-time.ts';
import { requestAccess } from './access-request.ts';
import { cursorAgeMs, describeRequest, giveUpError, locate, notNowError } from './api-errors.ts';
import { ApiSender } from './api-sender.ts';
import { EndpointChoice } from './endpoint-choice.ts';
import { HttpClient } from './http-exchange.ts';
import { AttemptsByPage, type Circumstances, type PageAttempts } from './page-attempts.ts';
import { faultyPage, readOutcome, type PageFailure } from './page-outcome.ts';
import { BROKEN_EVENTS } from './page-request.ts';
import type { ApiClientOptions, ClientParts, EndpointName, PageAnswer, PageRequest } from './page-request.ts';
import { ONE_EVENT, dataSyncWire, type PageWire, type WirePage } from './page-wire.ts';
import { StreamAccess, type StreamToken } from './stream-access.ts';
import { Silence } from './silence.ts';
import { USUAL_LOOKS } from './stream-return.ts';
import { Waits, abortable, type Wait } from './waits.ts';

export type { ApiClientOptions, PageAnswer, PageRequest, RawPage } from './page-request.ts';
export { BROKEN_EVENTS, NO_CURSOR, clientOptions, limitInTurn, newestEvents } from './page-request.ts';

const USUAL_BACKOFF: BackoffRule = { baseMs: 500, capMs: 30_000 };
const USUAL_FIRST_CONTACT_MS = 15_000;
/** A check asks for one event: it need not wait as long as a page. */
const CHECK_DEADLINE_MS = 20_000;

/** A page that is being asked for. */
interface Asking {
  readonly request: PageRequest;
  readonly endpoint: EndpointName;
  readonly attempts: PageAttempts;
  /** When the page was first asked for by this call, ms of `runningMs()`. */
  readonly startedMs: number;
  /** Events asked for. */
  readonly limit: number;
}

export class ApiClient {
  readonly wire: PageWire;
  readonly #parts: ClientParts;
  readonly #access: StreamAccess;
  readonly #sender: ApiSender;
  readonly #attempts: AttemptsByPage;
  readonly #closing = new AbortController();
  readonly #choice: EndpointChoice;
  /** When an endpoint last served anything, ms of `runningMs()`. */
  readonly #servedMs: Record<EndpointName, number> = { stream: -Infinity, events: -Infinity };
  /** Checks on their way. */
  readonly #checks: Record<EndpointName, Promise<boolean> | null> = { stream: null, events: null };
  /** The most events a page may have, as the API has said last. */
  #maxEvents = Infinity;

  constructor(given: ApiClientOptions) {
    const options = {
      wire: null,
      proxy: null,
      secrets: [],
      onSecret: () => undefined,
      observe: {},
      backoff: USUAL_BACKOFF,
      firstContactMs: USUAL_FIRST_CONTACT_MS,
      streamLooks: USUAL_LOOKS,
      buffers: new PageBuffers(),
      ...given,
    };
    const { apiKey, connectTimeoutMs, proxy, observe, backoff, maxWaitMs, logger } = options;
    this.wire = options.wire ?? dataSyncWire(options);
    const redactor = new Redactor([apiKey, ...options.secrets]);
    const http = new HttpClient({
      connectTimeoutMs,
      proxy,
      redactor,
      buffers: options.buffers,
      observe: (kind, status, durationMs) => observe.request?.(kind, status, durationMs),
    });
    const waits = new Waits();
    const silence = new Silence(logger);
    const parts = { options, wire: this.wire, redactor, http, waits, silence, closing: this.#closing.signal };
    this.#parts = parts;
    this.#access = new StreamAccess({
      request: (how) => requestAccess(parts, how),
      onToken: (token) => {
        redactor.add(token);
        options.onSecret(token);
      },
      onRenewalFailed: (error) => {
        if (parts.closing.aborted) return;
        const reason = redactor.redact(error instanceof Error ? error.message : String(error));
        logger.warn({ reason }, 'the stream token could not be renewed yet; the old one is still used');
      },
    });
    this.#sender = new ApiSender(parts, this.#access);
    this.#attempts = new AttemptsByPage({ backoff, maxWaitMs, canLeaveStream: options.endpoint === 'auto' });
    this.#choice = new EndpointChoice(parts, (page) => this.#serves('stream', page));
  }

  /** Where pages come from. `events` after a fallback, `stream` again once that serves again. */
  get endpoint(): EndpointName {
    return this.#choice.current;
  }

  /** By which bounds pages can be asked for now. */
  get bounds(): WalkBounds {
    return this.#choice.current === 'stream' ? { since: true, until: true } : this.wire.bounds;
  }

  /** Aborted when the stream endpoint serves again; `null` where it was not left. */
  get streamBack(): AbortSignal | null {
    return this.#choice.streamBack;
  }

  /** All requests sent, stream access and checks included. */
  get requests(): number {
    return this.#parts.http.requests;
  }

  /** Why nothing moves at the moment, for people who watch; `null` when requests are on their way. */
  get waiting(): Wait | null {
    return this.#sender.waiting(this.#choice.current);
  }

  /**
   * First contact: finds out which endpoint is used. With `endpoint: 'events'` no request is sent here, because the API allows
   * about ten a minute there. The first request for a page is the first contact then, and throws the same errors.
   * @param isTriedOnce the first failure of stream access that could be waited out is thrown
   * @throws ConfigurationError when the API cannot be reached, KeyRefusedError when stream access is demanded and not given
   */
  async open(isTriedOnce = false): Promise<{ endpoint: EndpointName; reason: string }> {
    if (!this.wire.hasStream) return { endpoint: 'events', reason: 'as described' };
    if (this.#parts.options.endpoint === 'events') return { endpoint: 'events', reason: 'as configured' };
    try {
      const token = await this.#access.token(isTriedOnce);
      return { endpoint: 'stream', reason: `stream access was granted (${token.url.pathname})` };
    } catch (error) {
      this.#choice.leaveStreamOrThrow(error, ONE_EVENT);
      return { endpoint: 'events', reason: this.#choice.reason };
    }
  }

  /**
   * @returns a page, or what the walk must do instead
   * @throws KeyRefusedError, GaveUpError, ConfigurationError before anything was ever served, the signal's reason
   */
  async fetchPage(request: PageRequest): Promise<PageAnswer> {
    const endpoint = this.#choice.current;
    const startedMs = runningMs();
    const { pageTimeoutMs: deadlineMs, logger } = this.#parts.options;
    let isDamaged = false;
    try {
      for (;;) {
        request.signal.throwIfAborted();
        // A cursor stands where its own endpoint's list stands.
        if (this.#choice.current !== endpoint || (request.cursorFrom ?? endpoint) !== endpoint) break;
        const attempts = this.#attempts.of(request);
        const limit = attempts.begin(request);
        const sent = await this.#sender.send({ ...request, endpoint, page: { ...request, limit }, deadlineMs });
        const outcome = readOutcome(sent, this.#parts);
        let failure: PageFailure;
        if (outcome.kind === 'page') {
          this.#servedMs[endpoint] = runningMs();
          const { damage } = outcome.page;
          const page = { ...outcome.page, endpoint, cursor: request.cursor, limit };
          if (damage !== null && isDamaged) {
            const where = { window: request.windowId, page: request.page, damage };
            logger.warn(where, 'the API says that events of a page lack fields; they are loaded as they came');
          }
          if (damage === null || isDamaged) return { kind: 'page', page };
          isDamaged = true;
          failure = faultyPage(damage, sent.url.pathname);
        } else if (outcome.kind === 'failure') {
          failure = outcome;
        } else {
          return outcome;
        }
        const answer = await this.#handle({ request, endpoint, attempts, startedMs, limit }, failure, sent.token);
        if (answer !== null) return answer;
      }
    } catch (error) {
      this.#choice.leaveStreamOrThrow(error, { ...request, cursor: null });
    }
    this.#attempts.forget(request);
    return { kind: 'endpoint-changed', detail: this.#choice.reason };
  }

  /**
   * Call this when a worker has found that an answer is no page: a failure of this request. The next one asks for one event less.
   * @throws GaveUpError when it happened too often; the signal's reason
   */
  async reportFaultyPage(request: PageRequest, fault: string, detail: string): Promise<void> {
    const attempts = this.#attempts.of(request);
    const startedMs = attempts.firstFailureMs ?? runningMs();
    const cameBack = this.#parts.redactor.redact(`200, ${fault}: ${detail}`);
    const asking = { request, endpoint: this.#choice.current, attempts, startedMs, limit: request.limit };
    await this.#handle(asking, { ...faultyPage(cameBack, null), isBroken: fault === BROKEN_EVENTS }, null);
  }

  /** Call this when a run begins: its pages have the numbers of those of the run before, and nothing else of them. */
  beginRun(): void {
    this.#attempts.clear();
  }

  /** Ends every request, and every wait for a turn. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the API client was closed'));
    this.#sender.close();
    await this.#parts.http.close();
  }

  /** Does what follows from a failure. @returns an answer for the caller, or `null` when it is time to ask again */
  async #handle(asking: Asking, failure: PageFailure, token: StreamToken | null): Promise<PageAnswer | null> {
    const { request, endpoint, attempts } = asking;
    const { observe, logger, maxWaitMs } = this.#parts.options;
    let action = attempts.record(failure, this.#circumstances(asking));
    if (action.kind === 'check') {
      const works = await this.#check(action.endpoint, asking);
      action = attempts.recordCheck(action.endpoint, works, failure, this.#circumstances(asking));
    }
    switch (action.kind) {
      case 'stale-cursor':
      case 'outside-range':
        return { ...action, detail: `${describeRequest(request, failure.path)}: ${failure.cameBack}` };
      case 'too-large':
        if (action.maxEvents !== null) this.#noteMaxEvents(action.maxEvents, failure);
        return action;
      case 'give-up': {
        const waited = { forMs: this.#circumstances(asking).withoutPageMs, allowedMs: maxWaitMs };
        throw giveUpError(action.why, request, failure, attempts.sent, waited, this.wire.advice);
      }
      case 'ask-again': {
        this.#parts.closing.throwIfAborted();
        const { retry, waitMs, warn } = action;
        if (request.patience !== undefined && waitMs > 0) throw notNowError(request, failure);
        if (retry === 'token' && token !== null) this.#access.drop(token);
        observe.retry?.(retry);
        const fields = {
          ...locate(request, failure, attempts.sent),
          cameBack: failure.cameBack,
          waitMs: Math.round(waitMs),
        };
        logger[warn ? 'warn' : 'debug'](fields, 'a page failed; it is asked for again');
        // What is about our pace has paused the pacer already.
        const toldWaitMs = failure.outcome.kind === 'answer' ? failure.outcome.refusal.toldWaitMs : null;
        if (retry !== 'rate-limit' && toldWaitMs !== null) this.#sender.pause(endpoint, toldWaitMs);
        if (waitMs > 0) await this.#parts.waits.wait(`the API failed: ${failure.cameBack}`, waitMs, request.signal);
        return null;
      }
    }
  }

  #noteMaxEvents(maxEvents: number, { path, cameBack }: PageFailure): void {
    if (maxEvents === this.#maxEvents) return;
    this.#maxEvents = maxEvents;
    this.#parts.options.logger.warn(
      { path, max_events: maxEvents, cameBack },
      'the API gives fewer events a page, and is asked for no more than max_events',
    );
  }

  #circumstances({ request, endpoint, startedMs, limit }: Asking): Circumstances {
    const nowMs = runningMs();
    const servedMs = Math.max(this.#servedMs.stream, this.#servedMs.events);
    const { http, options, wire } = this.#parts;
    return {
      nowMs,
      endpoint,
      limit,
      cursorAgeMs: cursorAgeMs(request),
      cursorLifeMs: request.cursorLifeMs,
      bounded: (endpoint === 'stream' || wire.bounds.since || wire.bounds.until) && !isOpen(request),
      endpointServedMs: this.#servedMs[endpoint],
      hasEverServed: servedMs > -Infinity,
      hasKeyWorked: servedMs > -Infinity || this.#access.wasGranted,
      withoutPageMs: nowMs - Math.max(startedMs, servedMs),
      firstContactFailed: http.unansweredMs > options.firstContactMs,
    };
  }

  /** Whether an endpoint serves, asked without a cursor. Who asks meanwhile gets the same answer. Some APIs take no limit as small as 1. */
  async #check(endpoint: EndpointName, { request: { signal }, limit }: Asking): Promise<boolean> {
    const page = this.wire.hasStream ? ONE_EVENT : { ...ONE_EVENT, limit };
    this.#checks[endpoint] ??= this.#serves(endpoint, page).finally(() => void (this.#checks[endpoint] = null));
    return abortable(this.#checks[endpoint], signal);
  }

  async #serves(endpoint: EndpointName, page: WirePage): Promise<boolean> {
    const { options, closing } = this.#parts;
    const deadlineMs = Math.min(CHECK_DEADLINE_MS, options.pageTimeoutMs);
    const sent = await this.#sender.send({ endpoint, page, signal: closing, deadlineMs });
    const works = readOutcome(sent, this.#parts).kind !== 'failure';
    if (works) this.#servedMs[endpoint] = runningMs();
    return works;
  }
}
