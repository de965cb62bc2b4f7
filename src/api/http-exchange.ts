/**
 * The one home of undici: a request, and its whole answer in one ArrayBuffer of its own. No retries, no pacing, no
 * meaning: what came back, or why nothing did.
 *
 * undici's own `request()` is not used because it hands the body out as a stream of pooled pieces; here each piece is
 * copied once, to where it stays, and that buffer can be transferred to a worker.
 */
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { pageBuffers } from '../core/page-buffers.ts';
import { Redactor } from '../core/redaction.ts';

export interface ProxySettings {
  /** URLs as in `HTTP_PROXY` and `HTTPS_PROXY`; empty or `null` is none. */
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  /** As in `NO_PROXY`. */
  readonly noProxy: string | null;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For everything: connecting, waiting, the whole body. */
  readonly deadlineMs: number;
  /** Most bytes that are read of the body of an answer with this status. */
  readonly maxBytes: (status: number) => number;
  readonly signal: AbortSignal | null;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** The receiver's own, transferable; longer than the body, and what follows the body means nothing. */
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  /** The body was longer than `maxBytes` and its rest was not read. */
  readonly overflowed: boolean;
  /** From the request's start to the last byte. */
  readonly requestMs: number;
  /** When the last byte came, epoch ms of our clock. */
  readonly receivedAtMs: number;
}

/** Headers of an answer; a header that came several times counts as its first. */
export class HttpHeaders {
  readonly #values: Readonly<Record<string, string | string[] | undefined>>;

  constructor(values: Readonly<Record<string, string | string[] | undefined>>) {
    this.#values = values;
  }

  /** @param name in lower case */
  get(name: string): string | null {
    const value = this.#values[name];
    return (Array.isArray(value) ? value[0] : value) ?? null;
  }
}

/**
 * - `unreachable`: no connection (refused, no such host, timeout)
 * - `untrusted`: the certificate was not accepted
 * - `closed`: the connection ended before an answer began; a kept-alive one that the server closed between requests ends so
 * - `cut`: the answer began and did not arrive whole
 * - `deadline`: it took longer than the request allows
 * - `protocol`: what came is not HTTP
 */
export type TransportFailure = 'unreachable' | 'untrusted' | 'closed' | 'cut' | 'deadline' | 'protocol';

/** No whole answer arrived. The message holds no secrets. */
export class TransportError extends Error {
  readonly failure: TransportFailure;
  readonly code: string;

  constructor(failure: TransportFailure, code: string, message: string) {
    super(message);
    this.name = 'TransportError';
    this.failure = failure;
    this.code = code;
  }
}

/** Below the 5 s after which many servers close an idle connection; a server's own hint, less 1 s, counts before it. */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 55_000;
/** First buffer of a body whose length is not known. */
const FIRST_BUFFER_BYTES = 65_536;

export interface HttpClientOptions {
  readonly connectTimeoutMs: number;
  readonly proxy: ProxySettings | null;
  /** Takes the secrets out of messages of undici and of the system. */
  readonly redactor: Redactor;
}

export class HttpClient {
  readonly #dispatcher: Dispatcher;
  readonly #redactor: Redactor;
  /** Of bodies whose length was not announced: the next will be about as long, and need not grow. */
  #likelyBytes = FIRST_BUFFER_BYTES;

  constructor(options: HttpClientOptions) {
    this.#redactor = options.redactor;
    const agentOptions: Agent.Options = {
      connect: { timeout: options.connectTimeoutMs },
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      // One deadline covers everything: undici's own timeouts stop while a body is paused.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
    const { httpProxy, httpsProxy, noProxy } = options.proxy ?? {};
    this.#dispatcher =
      httpProxy || httpsProxy
        ? // All three are given, empty ones too: what is left out, undici would read from the environment itself.
          new EnvHttpProxyAgent({
            ...agentOptions,
            httpProxy: httpProxy ?? '',
            httpsProxy: httpsProxy ?? '',
            noProxy: noProxy ?? '',
          })
        : new Agent(agentOptions);
  }

  /**
   * @returns the answer, whatever its status; redirects are answers
   * @throws TransportError when there is none; the signal's reason when it was aborted
   */
  async exchange(request: HttpRequest): Promise<HttpAnswer> {
    request.signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      new Exchange(request, this.#likelyBytes, this.#redactor, (outcome) => {
        if (outcome instanceof Error) {
          reject(outcome);
          return;
        }
        if (outcome.status === 200 && outcome.headers.get('content-length') === null) {
          this.#likelyBytes = Math.max(this.#likelyBytes, Math.ceil(outcome.bodyBytes * 1.05));
        }
        resolve(outcome);
      }).start(this.#dispatcher);
    });
  }

  /** Ends idle connections and those in use. */
  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }
}

type Settle = (outcome: HttpAnswer | Error) => void;

/** One request under way: collects the answer; whatever ends it first decides the outcome. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: HttpRequest;
  readonly #settle: Settle;
  readonly #redactor: Redactor;
  readonly #likelyBytes: number;
  readonly #startedMs = performance.now();
  readonly #deadline: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #outcome: HttpAnswer | Error | null = null;
  #status = 0;
  #headers = new HttpHeaders({});
  #maxBytes = 0;
  #buffer = new ArrayBuffer(0);
  #view = new Uint8Array(this.#buffer);
  #length = 0;

  constructor(request: HttpRequest, likelyBytes: number, redactor: Redactor, settle: Settle) {
    this.#request = request;
    this.#likelyBytes = likelyBytes;
    this.#redactor = redactor;
    this.#settle = settle;
    this.#deadline = setTimeout(() => {
      const what = this.#status === 0 ? 'no answer began' : `${this.#length} bytes of the body had come`;
      this.#end(new TransportError('deadline', 'DEADLINE', `after ${request.deadlineMs} ms ${what}`));
    }, request.deadlineMs);
    request.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  start(dispatcher: Dispatcher): void {
    const { method, url, headers, body } = this.#request;
    dispatcher.dispatch(
      { origin: url.origin, path: `${url.pathname}${url.search}`, method, headers: { ...headers }, body: body ?? null },
      this,
    );
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#request.signal?.reason;
    this.#end(reason instanceof Error ? reason : new Error(String(reason)));
  };

  #end(outcome: HttpAnswer | Error): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    clearTimeout(this.#deadline);
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
    this.#settle(outcome);
    // After the outcome: aborting calls onResponseError, which must find it decided.
    if (outcome instanceof Error || outcome.overflowed) this.#controller?.abort(new Error('not wanted any more'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for its connection.
    if (this.#outcome !== null) controller.abort(new Error('not wanted any more'));
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
    const announced = Number(this.#headers.get('content-length') ?? Number.NaN);
    if (announced > this.#maxBytes && status === 200) {
      this.#finish(true);
      return;
    }
    this.#replaceBuffer(Math.min(Number.isSafeInteger(announced) ? announced : this.#likelyBytes, this.#maxBytes));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#outcome !== null) return;
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
    if (this.#outcome !== null) return;
    this.#end(this.#explain(error));
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
    this.#buffer = pageBuffers.take(bytes);
    this.#view = new Uint8Array(this.#buffer);
    this.#view.set(kept);
  }

  #finish(overflowed: boolean): void {
    this.#end({
      status: this.#status,
      headers: this.#headers,
      body: this.#buffer,
      bodyBytes: this.#length,
      overflowed,
      requestMs: performance.now() - this.#startedMs,
      receivedAtMs: Date.now(),
    });
  }

  #explain(error: Error): TransportError {
    const code = errorCode(error);
    const failure = classifyFailure(code, this.#status !== 0, this.#controller !== null);
    const announced = this.#headers.get('content-length');
    const progress =
      this.#status === 0
        ? ''
        : `; ${this.#length}${announced === null ? '' : ` of ${announced}`} bytes of the body had come`;
    return new TransportError(failure, code, this.#redactor.redact(`${error.message || error.name}${progress}`));
  }
}

/** The system's or undici's code of the deepest error that has one. */
function errorCode(error: Error): string {
  let code = '';
  let current: unknown = error;
  for (let depth = 0; current instanceof Error && depth < 5; depth += 1) {
    if ('code' in current && typeof current.code === 'string') code = current.code;
    current = current instanceof AggregateError && current.errors.length > 0 ? current.errors[0] : current.cause;
  }
  return code || error.name;
}

const UNTRUSTED = /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_(VERIFY|GET)|ERR_TLS|HOSTNAME_MISMATCH)/;

function classifyFailure(code: string, began: boolean, connected: boolean): TransportFailure {
  if (UNTRUSTED.test(code)) return 'untrusted';
  if (began) return 'cut';
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'protocol';
  return connected ? 'closed' : 'unreachable';
}
