/**
 * The one home of undici: sends a request and collects its whole answer in one ArrayBuffer of its own, which can be
 * transferred to a worker. It does not retry, pace or judge: it says what came back, or why nothing did.
 *
 * undici's own `request()` hands the body out as a stream and does not show whether there was a connection. Here each piece is copied once.
 */
import type { Agent, Dispatcher } from 'undici';
import type { PageBuffers } from '../core/page-buffers.ts';
import type { Redactor } from '../core/redaction.ts';
import { runningMs, wasStopped } from '../core/running-time.ts';
import { BodyEnds } from './body-ends.ts';
import { HttpHeaders } from './http-headers.ts';
import { Routes, type ProxySettings } from './routes.ts';
import { TransportError, classifyFailure, errorCode } from './transport-error.ts';

export interface HttpRequest {
  /** For metrics. */
  readonly kind: 'stream' | 'events' | 'access';
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | null;
  /** For everything: connecting, waiting, the whole body. */
  readonly deadlineMs: number;
  /** Most bytes that are read of the body of an answer with this status. */
  readonly maxBytes: (status: number) => number;
  /** A longer body is read to its end, and its middle is left out. */
  readonly keepsEnds?: boolean;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** The receiver's own, transferable; longer than the body, and what follows the body means nothing. */
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  /** The body was longer than `maxBytes` and was not read to its end. */
  readonly overflowed: boolean;
  /** Where bytes of the body are left out; `null` when it is all there. */
  readonly leftOutAt: number | null;
  /** When the last byte came, epoch ms of our clock. */
  readonly receivedAtMs: number;
}

/** 203: a proxy has changed something about what the API answered. */
export function mayHoldPage(status: number): boolean {
  return status === 200 || status === 203;
}

/** Below the 5 s after which many servers close an idle connection; a server's own hint, less 1 s, counts before it. */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 55_000;
/** Gateways add headers of their own, with tokens and policies in them. */
const MAX_HEADER_BYTES = 65_536;
/** First buffer of a body whose length is not known. */
const FIRST_BUFFER_BYTES = 65_536;

export interface HttpClientOptions {
  readonly connectTimeoutMs: number;
  readonly proxy: ProxySettings | null;
  /** Takes the secrets out of messages of undici and of the system. */
  readonly redactor: Redactor;
  readonly buffers: PageBuffers;
  /** A request was answered, or failed (`status` null). */
  readonly observe: (kind: HttpRequest['kind'], status: number | null, durationMs: number) => void;
}

export class HttpClient {
  /** All requests sent. */
  requests = 0;
  /** Whether the API has ever answered anything: before that, its URL may be wrong. */
  hasAnswered = false;
  readonly #routes: Routes;
  readonly #options: HttpClientOptions;
  #firstRequestMs = Infinity;
  /** Size of bodies whose length was not announced: the next one is probably as long, and its buffer need not grow. */
  #likelyBytes = FIRST_BUFFER_BYTES;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    const agentOptions: Agent.Options = {
      connect: { timeout: options.connectTimeoutMs },
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      // One deadline covers everything: undici's own timeouts stop while a body is paused.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
    };
    this.#routes = new Routes(agentOptions, options.proxy ?? { httpProxy: null, httpsProxy: null, noProxy: null });
  }

  /** How long the API has been asked without ever answering, ms; 0 once it has answered. */
  get unansweredMs(): number {
    return this.hasAnswered ? 0 : Math.max(0, runningMs() - this.#firstRequestMs);
  }

  /**
   * @returns the answer, whatever its status (redirects are answers), or why there is none
   * @throws the signal's reason when it was aborted
   */
  async exchange(request: HttpRequest): Promise<HttpAnswer | TransportError> {
    request.signal.throwIfAborted();
    this.requests += 1;
    const startedMs = runningMs();
    this.#firstRequestMs = Math.min(this.#firstRequestMs, startedMs);
    const outcome = await new Exchange(request, this.#likelyBytes, this.#options).run(this.#routes);
    const durationMs = runningMs() - startedMs;
    if (outcome instanceof TransportError) {
      this.#options.observe(request.kind, null, durationMs);
      return outcome;
    }
    this.hasAnswered = true;
    this.#options.observe(request.kind, outcome.status, durationMs);
    if (mayHoldPage(outcome.status) && outcome.headers.get('content-length') === null) {
      this.#likelyBytes = Math.max(this.#likelyBytes, Math.ceil(outcome.bodyBytes * 1.05));
    }
    return outcome;
  }

  /** Ends idle connections and those in use. */
  async close(): Promise<void> {
    await this.#routes.close();
  }
}

/** One request under way: collects the answer; whatever ends it first decides the outcome. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: HttpRequest;
  readonly #options: HttpClientOptions;
  readonly #likelyBytes: number;
  #isOver = false;
  #settle: { resolve(outcome: HttpAnswer | TransportError): void; reject(reason: unknown): void } | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #headers = new HttpHeaders({});
  #maxBytes = 0;
  #buffer = new ArrayBuffer(0);
  #view = new Uint8Array(this.#buffer);
  #length = 0;
  #ends: BodyEnds | null = null;

  constructor(request: HttpRequest, likelyBytes: number, options: HttpClientOptions) {
    this.#request = request;
    this.#likelyBytes = likelyBytes;
    this.#options = options;
  }

  /** @throws the signal's reason */
  async run(routes: Routes): Promise<HttpAnswer | TransportError> {
    const { method, url, headers, body, signal, deadlineMs } = this.#request;
    const abort = (): void => {
      this.#settle?.reject(signal.reason);
      this.#end();
    };
    const deadline = setTimeout(() => {
      // The answer may be here, and not be read yet.
      if (wasStopped(deadlineMs)) {
        deadline.refresh();
        return;
      }
      const what = this.#status === 0 ? 'no answer began' : `${this.#length} bytes of the body had come`;
      this.#settle?.resolve(new TransportError('deadline', 'DEADLINE', `after ${deadlineMs} ms ${what}`));
      this.#end();
    }, deadlineMs);
    // Not AbortSignal.any() with a timeout(): a signal that lives as long as the run would keep a trace of every request.
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#settle = { resolve, reject };
        const { dispatcher, origin, path, headers: added } = routes.of(url);
        dispatcher.dispatch({ origin, path, method, headers: { ...headers, ...added }, body: body ?? null }, this);
      });
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Nobody wants more of the answer. */
  #end(): void {
    this.#isOver = true;
    this.#controller?.abort(new Error('not wanted any more'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for its connection.
    if (this.#isOver) controller.abort(new Error('not wanted any more'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = new HttpHeaders(headers);
    this.#maxBytes = this.#request.maxBytes(status);
    if (this.#request.keepsEnds === true) {
      this.#ends = new BodyEnds(this.#options.buffers.take(this.#maxBytes), this.#maxBytes);
      return;
    }
    const announced = Number(this.#headers.get('content-length') ?? Number.NaN);
    if (announced > this.#maxBytes && mayHoldPage(status)) {
      this.#finish(true);
      return;
    }
    this.#replaceBuffer(Math.min(Number.isSafeInteger(announced) ? announced : this.#likelyBytes, this.#maxBytes));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#ends !== null) {
      this.#ends.add(chunk);
      return;
    }
    const needed = this.#length + chunk.length;
    if (needed > this.#maxBytes) {
      this.#append(chunk.subarray(0, this.#maxBytes - this.#length));
      this.#finish(true);
      return;
    }
    this.#append(chunk);
  }

  onResponseEnd(): void {
    this.#finish(false);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#isOver) this.#settle?.resolve(this.#explain(error));
    this.#isOver = true;
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#view.length) {
      this.#replaceBuffer(Math.min(Math.max(needed, this.#view.length * 2, FIRST_BUFFER_BYTES), this.#maxBytes));
    }
    this.#view.set(chunk, this.#length);
    this.#length = needed;
  }

  #replaceBuffer(bytes: number): void {
    const kept = this.#view.subarray(0, this.#length);
    this.#buffer = this.#options.buffers.take(bytes);
    this.#view = new Uint8Array(this.#buffer);
    this.#view.set(kept);
  }

  #finish(overflowed: boolean): void {
    if (this.#isOver) return;
    this.#settle?.resolve({
      status: this.#status,
      headers: this.#headers,
      ...(this.#ends?.finish() ?? { body: this.#buffer, bodyBytes: this.#length, leftOutAt: null }),
      overflowed,
      receivedAtMs: Date.now(),
    });
    this.#isOver = true;
    if (overflowed) this.#end();
  }

  #explain(error: Error): TransportError {
    const code = errorCode(error);
    const failure = classifyFailure(code, this.#status !== 0, this.#controller !== null);
    const announced = this.#headers.get('content-length');
    const progress =
      this.#status === 0
        ? ''
        : `; ${this.#length}${announced === null ? '' : ` of ${announced}`} bytes of the body had come`;
    return new TransportError(
      failure,
      code,
      this.#options.redactor.redact(`${error.message || error.name}${progress}`),
    );
  }
}
