/**
 * The one home of undici: sends a request and collects its whole answer in one ArrayBuffer of its own, which can be
 * transferred to a worker. It does not retry, pace or judge: it says what came back, or why nothing did.
 */
import { addAbortListener } from 'node:events';
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { pageBuffers } from '../core/page-buffers.ts';
import type { Redactor } from '../core/redaction.ts';
import { abortable } from './waits.ts';

export interface ProxySettings {
  /** URLs as in `HTTP_PROXY` and `HTTPS_PROXY`; empty or `null` is none. */
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  /** As in `NO_PROXY`. */
  readonly noProxy: string | null;
}

export interface HttpRequest {
  /** For metrics. */
  readonly kind: 'stream' | 'events' | 'access';
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For everything: connecting, waiting, the whole body. */
  readonly deadlineMs: number;
  /** Most bytes that are read of the body of an answer with this status. */
  readonly maxBytes: (status: number) => number;
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
  override readonly name = 'TransportError';
  readonly failure: TransportFailure;
  readonly code: string;

  constructor(failure: TransportFailure, code: string, message: string) {
    super(message);
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
  /** A request was answered, or failed (`status` null). */
  readonly observe: (kind: HttpRequest['kind'], status: number | null, durationMs: number) => void;
}

/** How far an answer has come. */
interface Progress {
  headers: HttpHeaders | null;
  bodyBytes: number;
}

export class HttpClient {
  /** All requests sent. */
  requests = 0;
  /** Whether the API has ever answered anything: before that, its URL may be wrong. */
  hasAnswered = false;
  readonly #dispatcher: Dispatcher;
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
    };
    const { httpProxy, httpsProxy, noProxy } = options.proxy ?? {};
    this.#dispatcher =
      httpProxy || httpsProxy
        ? // All three are given, empty ones too: undici would read what is left out from the environment.
          new EnvHttpProxyAgent({
            ...agentOptions,
            httpProxy: httpProxy ?? '',
            httpsProxy: httpsProxy ?? '',
            noProxy: noProxy ?? '',
          })
        : new Agent(agentOptions);
  }

  /** How long the API has been asked without ever answering, ms; 0 once it has answered. */
  get unansweredMs(): number {
    return this.hasAnswered ? 0 : Math.max(0, performance.now() - this.#firstRequestMs);
  }

  /**
   * @returns the answer, whatever its status (redirects are answers), or why there is none
   * @throws the signal's reason when it was aborted
   */
  async exchange(request: HttpRequest): Promise<HttpAnswer | TransportError> {
    const { kind, signal, deadlineMs } = request;
    signal.throwIfAborted();
    this.requests += 1;
    const startedMs = performance.now();
    this.#firstRequestMs = Math.min(this.#firstRequestMs, startedMs);
    // Not AbortSignal.any() and timeout(): a signal that lives as long as the run would keep a trace of every request.
    const over = new AbortController();
    const end = (): void => {
      over.abort();
    };
    const deadline = setTimeout(end, deadlineMs);
    const listener = addAbortListener(signal, end);
    const progress: Progress = { headers: null, bodyBytes: 0 };
    let outcome: HttpAnswer | TransportError;
    try {
      // undici notices an abort only once it has a connection.
      outcome = await abortable(this.#receive(request, over.signal, progress), over.signal);
      this.hasAnswered = true;
    } catch (error) {
      signal.throwIfAborted();
      outcome = over.signal.aborted ? deadlineError(deadlineMs, progress) : this.#explain(error, progress);
    } finally {
      clearTimeout(deadline);
      listener[Symbol.dispose]();
    }
    const status = outcome instanceof TransportError ? null : outcome.status;
    this.#options.observe(kind, status, performance.now() - startedMs);
    return outcome;
  }

  /** Ends idle connections and those in use. */
  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #receive(request: HttpRequest, signal: AbortSignal, progress: Progress): Promise<HttpAnswer> {
    const { url, method } = request;
    const response = await this.#dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { ...request.headers },
      body: request.body ?? null,
      signal,
    });
    const status = response.statusCode;
    const headers = new HttpHeaders(response.headers);
    progress.headers = headers;
    const maxBytes = request.maxBytes(status);
    const announced = Number(headers.get('content-length') ?? Number.NaN);
    const firstBytes = Number.isSafeInteger(announced) ? announced : this.#likelyBytes;
    let body = new Uint8Array(0);
    let overflowed = false;
    // Not `for await`: a promise for each piece costs CPU.
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        overflowed = true;
        resolve();
        response.body.destroy();
      };
      response.body.on('end', resolve).on('error', reject);
      if (status === 200 && announced > maxBytes) {
        stop();
        return;
      }
      body = new Uint8Array(pageBuffers.take(Math.min(firstBytes, maxBytes)));
      response.body.on('data', (piece: Buffer) => {
        const wanted = piece.subarray(0, maxBytes - progress.bodyBytes);
        body = withRoomFor(wanted.length, body, progress.bodyBytes, maxBytes);
        body.set(wanted, progress.bodyBytes);
        progress.bodyBytes += wanted.length;
        if (wanted.length < piece.length) stop();
      });
    });
    const { bodyBytes } = progress;
    if (status === 200 && Number.isNaN(announced)) {
      this.#likelyBytes = Math.max(this.#likelyBytes, Math.ceil(bodyBytes * 1.05));
    }
    return { status, headers, body: body.buffer, bodyBytes, overflowed, receivedAtMs: Date.now() };
  }

  #explain(error: unknown, { headers, bodyBytes }: Progress): TransportError {
    if (!(error instanceof Error)) throw error;
    const code = errorCode(error);
    const announced = headers?.get('content-length') ?? null;
    const progress =
      headers === null
        ? ''
        : `; ${bodyBytes}${announced === null ? '' : ` of ${announced}`} bytes of the body had come`;
    const message = this.#options.redactor.redact(`${error.message || error.name}${progress}`);
    return new TransportError(classifyFailure(code, headers !== null), code, message);
  }
}

/** `body`, or a larger buffer with the same first `length` bytes, so that `bytes` more fit in; never above `maxBytes`. */
function withRoomFor(
  bytes: number,
  body: Uint8Array<ArrayBuffer>,
  length: number,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  if (length + bytes <= body.length) return body;
  const larger = Math.max(length + bytes, body.length * 2, FIRST_BUFFER_BYTES);
  const grown = new Uint8Array(pageBuffers.take(Math.min(larger, maxBytes)));
  grown.set(body.subarray(0, length));
  return grown;
}

function deadlineError(deadlineMs: number, { headers, bodyBytes }: Progress): TransportError {
  const what = headers === null ? 'no answer began' : `${bodyBytes} bytes of the body had come`;
  return new TransportError('deadline', 'DEADLINE', `after ${deadlineMs} ms ${what}`);
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
/** How a connection ends that was there; every other code before an answer means that there was none. */
const CLOSED = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'UND_ERR_SOCKET']);

function classifyFailure(code: string, began: boolean): TransportFailure {
  if (UNTRUSTED.test(code)) return 'untrusted';
  if (began) return 'cut';
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') return 'protocol';
  return CLOSED.has(code) ? 'closed' : 'unreachable';
}
