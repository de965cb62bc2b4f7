/**
 * Sends one request to an endpoint: waits for its turn and for a token, asks, and tells the pacer what came of it. Does
 * not judge answers and does not try again, except for stream access, without which there is no request.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackoffRule } from '../core/backoff.ts';
import { requestAccess } from './access-request.ts';
import { MAX_ERROR_BYTES, isFromCache, readErrorBody } from './http-answer.ts';
import { HttpClient, TransportError, type HttpAnswer } from './http-exchange.ts';
import { Redactor } from '../core/redaction.ts';
import { pageHeaders } from './http-request-headers.ts';
import { Pacer } from './pacer.ts';
import type { ApiClientOptions, EndpointName } from './page-request.ts';
import { readRateLimit, type RateLimitNotice } from './rate-limit-headers.ts';
import { StreamAccess, type AccessOutcome, type StreamToken } from './stream-access.ts';

const USUAL_BACKOFF: BackoffRule = { baseMs: 500, capMs: 30_000 };
const USUAL_FIRST_CONTACT_MS = 15_000;
const NO_NOTICE: RateLimitNotice = { limit: null, remaining: null, resetMs: null, retryAfterMs: null };

/** One request and what came of it. */
export interface Sent {
  readonly url: URL;
  readonly outcome: HttpAnswer | TransportError;
  /** The token it was sent with; `null` on `/events`. */
  readonly access: StreamToken | null;
}

export interface SendRequest {
  readonly endpoint: EndpointName;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
}

/** Why nothing moves. The reason's words before a colon are one of a few, what follows says more. */
export interface Wait {
  readonly reason: string;
  /** Epoch ms. */
  readonly untilMs: number;
  /** Else it is the growing pause after a failure. */
  readonly askedByApi: boolean;
}

export class ApiSender {
  readonly access: StreamAccess;
  readonly redactor: Redactor;
  readonly backoff: BackoffRule;
  /** All requests sent. */
  requests = 0;
  /** Whether the API has ever answered anything: before that, its URL may be wrong. */
  answeredOnce = false;
  readonly #options: ApiClientOptions;
  /** Without a slash at its end. */
  readonly #base: URL;
  readonly #http: HttpClient;
  readonly #pacers: Readonly<Record<EndpointName, Pacer>>;
  readonly #closing = new AbortController();
  readonly #waits = new Set<Wait>();
  #inFlight = 0;
  #firstContactMs: number | null = null;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.backoff = options.backoff ?? USUAL_BACKOFF;
    this.#base = new URL(options.baseUrl);
    this.#base.pathname = this.#base.pathname.replace(/\/+$/, '');
    this.redactor = new Redactor([options.apiKey, ...(options.secrets ?? [])]);
    this.#http = new HttpClient({
      connectTimeoutMs: options.connectTimeoutMs,
      proxy: options.proxy ?? null,
      redactor: this.redactor,
    });
    this.#pacers = { stream: this.#createPacer('stream'), events: this.#createPacer('events') };
    this.access = new StreamAccess({
      request: () => this.#requestAccess(),
      onToken: (token) => {
        this.redactor.add(token);
        options.onSecret?.(token);
      },
      onRenewalFailed: (error) => {
        if (this.#closing.signal.aborted) return;
        const reason = this.redactor.redact(error instanceof Error ? error.message : String(error));
        options.logger.warn({ reason }, 'the stream token could not be renewed yet; the old one is still used');
      },
    });
  }

  /** Why nothing moves at the moment; `null` when requests are on their way. */
  waiting(endpoint: EndpointName): Wait | null {
    if (this.#inFlight > 0) return null;
    const pacer = this.#pacers[endpoint];
    const untilMs = pacer.waitingUntilMs;
    if (untilMs !== null) {
      return { reason: pacer.paused ? 'the API asked to wait' : 'rate limit of the API', untilMs, askedByApi: true };
    }
    let first: Wait | null = null;
    for (const wait of this.#waits) if (first === null || wait.untilMs < first.untilMs) first = wait;
    return first;
  }

  /** How long the first contact has been tried without an answer, and whether that is too long. */
  firstContactFailed(): boolean {
    this.#firstContactMs ??= performance.now();
    return !this.answeredOnce && performance.now() - this.#firstContactMs > this.#firstContactPatienceMs();
  }

  /** Stops all requests to an endpoint for a while: the API asked for it. */
  pause(endpoint: EndpointName, forMs: number): void {
    this.#pacers[endpoint].pause(forMs);
  }

  /** Waits after a failure, visibly for {@link waiting}. Throws the signal's reason. */
  async wait(reason: string, waitMs: number, signal: AbortSignal): Promise<void> {
    this.#closing.signal.throwIfAborted();
    const done = this.#beginWait(reason, waitMs, false);
    try {
      await sleep(waitMs, undefined, { signal });
    } catch (error) {
      // node's AbortError says that something was aborted, the signal's reason says why.
      signal.throwIfAborted();
      throw error;
    } finally {
      done();
    }
  }

  /**
   * @throws GaveUpError when the turn would come too late or the API stays away, ConfigurationError before it ever answered,
   *   StreamUnavailableError when there is no stream access, the signal's reason
   */
  async send(request: SendRequest): Promise<Sent> {
    const { endpoint, signal } = request;
    this.#closing.signal.throwIfAborted();
    // One signal ends a whole run: every request under way listens to it.
    setMaxListeners(0, signal);
    this.#firstContactMs ??= performance.now();
    const pacer = this.#pacers[endpoint];
    const ticket = await pacer.turn(signal);
    let access: StreamToken | null;
    try {
      access = endpoint === 'stream' ? await abortable(this.access.token(), signal) : null;
    } catch (error) {
      pacer.answered(ticket, 'failed', NO_NOTICE);
      throw error;
    }
    const url = new URL(access === null ? `${this.#base.href}/events` : access.url);
    for (const [name, value] of request.query) url.searchParams.set(name, value);
    const sentMs = performance.now();
    this.#inFlight += 1;
    this.requests += 1;
    try {
      const answer = await this.#exchange(url, access, request);
      this.answeredOnce = true;
      this.#options.observe?.request?.(endpoint, answer.status, answer.requestMs);
      const body = answer.status === 429 ? readErrorBody(answer).json : null;
      const result = answer.status === 429 ? 'refused' : isFromCache(answer) ? 'cached' : 'served';
      pacer.answered(ticket, result, readRateLimit(answer.headers, answer.receivedAtMs, body));
      return { url, outcome: answer, access };
    } catch (error) {
      // What was cut had been served, and counted.
      const counted = error instanceof TransportError && error.failure === 'cut';
      pacer.answered(ticket, counted ? 'served' : 'failed', NO_NOTICE);
      if (!(error instanceof TransportError)) throw error;
      this.#options.observe?.request?.(endpoint, null, performance.now() - sentMs);
      return { url, outcome: error, access };
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Ends all requests and waits. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the API client was closed'));
    this.#pacers.stream.close();
    this.#pacers.events.close();
    await this.#http.close();
  }

  #createPacer(endpoint: EndpointName): Pacer {
    const { logger, maxRps, maxWaitMs, observe } = this.#options;
    return new Pacer({
      name: endpoint === 'stream' ? 'the stream endpoint' : `${this.#base.pathname}/events`,
      maxRps,
      maxWaitMs,
      onStalled: (queued) => {
        logger.warn({ queued, endpoint }, 'requests were queued and none started; the queue was replaced');
      },
      observeWait: (waitMs) => observe?.rateLimitWait?.(waitMs),
    });
  }

  async #exchange(url: URL, access: StreamToken | null, request: SendRequest): Promise<HttpAnswer> {
    const { maxPageBytes, acceptCompression } = this.#options;
    const headers = pageHeaders(this.#options, acceptCompression);
    if (access !== null) headers[access.header] = access.token;
    return this.#http.exchange({
      method: 'GET',
      url,
      headers,
      deadlineMs: request.deadlineMs,
      maxBytes: (status) => (status === 200 ? maxPageBytes : MAX_ERROR_BYTES),
      signal: request.signal,
    });
  }

  async #requestAccess(): Promise<AccessOutcome> {
    const { maxWaitMs, pageTimeoutMs, endpoint, observe } = this.#options;
    this.#firstContactMs ??= performance.now();
    return requestAccess({
      http: this.#http,
      origin: this.#base.origin,
      identity: this.#options,
      redactor: this.redactor,
      backoff: this.backoff,
      deadlineMs: pageTimeoutMs,
      maxWaitMs,
      canFallBack: endpoint === 'auto',
      patience: () => ({
        waitMs: this.answeredOnce ? maxWaitMs : this.#firstContactPatienceMs(),
        firstContact: !this.answeredOnce,
      }),
      signal: this.#closing.signal,
      observe: observe ?? {},
      onSent: () => {
        this.requests += 1;
      },
      onAnswered: () => {
        this.answeredOnce = true;
      },
      onWaiting: (reason, waitMs, askedByApi) => this.#beginWait(reason, waitMs, askedByApi),
    });
  }

  #firstContactPatienceMs(): number {
    return this.#options.firstContactMs ?? USUAL_FIRST_CONTACT_MS;
  }

  #beginWait(reason: string, waitMs: number, askedByApi: boolean): () => void {
    const wait = { reason, untilMs: Date.now() + waitMs, askedByApi };
    this.#waits.add(wait);
    return () => {
      this.#waits.delete(wait);
    };
  }
}

/** `work` goes on for the others who wait for it; this caller stops waiting when its signal says so. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => {
      const reason: unknown = signal.reason;
      reject(reason instanceof Error ? reason : new Error(String(reason)));
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
