/**
 * Live page, metrics and health over HTTP, made from the job's snapshot. Nothing that happens here touches the job: each
 * frame is made once for all viewers, and none is made while nobody looks.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { ConfigurationError, describeError } from '../core/errors.ts';
import type { JobSnapshot } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import { wasStopped } from '../core/running-time.ts';
import { healthOf, readinessOf, type HealthAnswer } from './health.ts';
import { historyRow, JobHistory } from './job-history.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { RecentWork } from './metrics/recent-work.ts';
import { readPageFiles } from './page-files.ts';
import { eventsDone, progressRatio, RateMeter } from './progress-estimate.ts';
import { waitingText } from './progress-line.ts';
import { eventFrame, MAX_VIEWERS, Viewers } from './viewers.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly snapshot: () => JobSnapshot;
  readonly metrics: Metrics;
  /** Durations, for the page. */
  readonly work: RecentWork;
  readonly stallAfterMs: number;
  readonly logger: Logger;
}

export interface RunningHttpServer {
  /** With the port that was taken, without a slash at the end. */
  readonly url: string;
  /** Closes the port and the connections of all viewers. */
  close(): Promise<void>;
}

/** Time between two frames; short enough to look alive. */
const FRAME_MS = 500;
const HISTORY_MS = 1_000;
/** After the end nothing changes: a few frames show that the server is still there. */
const FRAME_AFTER_END_MS = 5_000;
/** Viewers, scrapers and health checks together; no honest use needs more. */
const MAX_CONNECTIONS = MAX_VIEWERS + 100;

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

/** @throws ConfigurationError when the port cannot be used */
export async function startHttpServer(options: HttpServerOptions): Promise<RunningHttpServer> {
  const watch = new JobWatch(options);
  const server = createServer((request, response) => {
    answerRequest(request, response, watch, options).catch((error: unknown) => {
      options.logger.warn({ path: request.url, error: describeError(error) }, 'answering a viewer failed');
      if (!response.headersSent) send(response, 500, 'text/plain', 'failed\n');
      response.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.headersTimeout = 10_000;
  const port = await listen(server, options);
  watch.start();
  const host = isIP(options.host) === 6 ? `[${options.host}]` : options.host;
  const url = `http://${host}:${port}`;
  options.logger.info({ url }, 'serving the live page, /metrics, /health and /ready');
  return {
    url,
    async close() {
      watch.stop();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, { host, port }: HttpServerOptions): Promise<number> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    throw new ConfigurationError(
      `cannot serve on ${host}:${port}: ${describeError(error)}; choose a free port with --http-port, or leave it out`,
      { cause: error },
    );
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** Makes what the pages show: history while the job runs, frames while somebody looks. */
class JobWatch {
  readonly viewers = new Viewers();
  readonly #options: HttpServerOptions;
  readonly #history = new JobHistory();
  readonly #rates = new RateMeter();
  readonly #timers: NodeJS.Timeout[] = [];
  #lastFrameMs = 0;
  #framedEnd = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  start(): void {
    const remember = () => {
      const snapshot = this.#options.snapshot();
      this.#rates.observe(snapshot, Date.now());
      this.#history.note(snapshot, this.#options.work.summary(), Date.now());
    };
    remember();
    const frame = () => {
      this.#frame();
    };
    // unref: a watcher must not keep the process alive after the job.
    this.#timers.push(setInterval(remember, HISTORY_MS).unref(), setInterval(frame, FRAME_MS).unref());
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.viewers.close();
  }

  #frame(): void {
    if (this.viewers.count === 0) return;
    const nowMs = Date.now();
    const snapshot = this.#options.snapshot();
    if (snapshot.ended !== null) {
      if (this.#framedEnd && nowMs - this.#lastFrameMs < FRAME_AFTER_END_MS) return;
      this.#framedEnd = true;
    }
    this.#lastFrameMs = nowMs;
    this.viewers.send(eventFrame('tick', this.#view(snapshot, nowMs)), nowMs);
  }

  /** What a viewer gets first: the whole history, then the state now. */
  firstFrame(): string {
    const nowMs = Date.now();
    const snapshot = this.#options.snapshot();
    const { rows, intervalMs } = this.#history;
    return eventFrame('history', { rows, intervalMs }) + eventFrame('tick', this.#view(snapshot, nowMs));
  }

  #view(snapshot: JobSnapshot, nowMs: number) {
    const { work, stallAfterMs } = this.#options;
    const recent = work.summary();
    return {
      nowMs,
      snapshot,
      progress: progressRatio(snapshot),
      waiting: waitingText(snapshot, nowMs),
      done: eventsDone(snapshot),
      rates: this.#rates.observe(snapshot, nowMs),
      recent,
      row: historyRow(snapshot, recent, nowMs),
      health: healthOf(snapshot, nowMs, stallAfterMs).body,
    };
  }
}

const pageFiles = readPageFiles();

async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  watch: JobWatch,
  options: HttpServerOptions,
): Promise<void> {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  if (!isOurHost(request.headers.host, options.host)) {
    send(response, 421, 'text/plain', 'This address is served to this machine only; open it as localhost.\n');
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    send(response, 405, 'text/plain', 'Only GET.\n');
    return;
  }
  const path = (request.url ?? '/').replace(/[?#].*$/s, '');
  switch (path) {
    case '/events':
      if (request.method === 'HEAD') {
        send(response, 200, 'text/event-stream', '');
        return;
      }
      if (!watch.viewers.add(response, watch.firstFrame())) {
        response.setHeader('retry-after', '30');
        send(response, 503, 'text/plain', `There are ${MAX_VIEWERS} viewers already; try again later.\n`);
      }
      return;
    case '/metrics': {
      const text = await options.metrics.text(/application\/openmetrics-text/i.test(request.headers.accept ?? ''));
      send(response, 200, text.contentType, text.body);
      return;
    }
    case '/health': {
      // What was stopped has not stalled.
      const stallAfterMs = wasStopped(options.stallAfterMs) ? Infinity : options.stallAfterMs;
      sendHealth(response, healthOf(options.snapshot(), Date.now(), stallAfterMs));
      return;
    }
    case '/ready':
      sendHealth(response, readinessOf(options.snapshot(), Date.now()));
      return;
    default: {
      const file = pageFiles.get(path);
      if (file === undefined) send(response, 404, 'text/plain', 'Not found; try / or /metrics.\n');
      else send(response, 200, file.contentType, file.body);
    }
  }
}

/**
 * Guards against DNS rebinding: a foreign page can point its own name at 127.0.0.1 and read what is served there, but it
 * cannot do so by address. Whoever binds another address has decided who may reach it, by whatever name.
 */
export function isOurHost(hostHeader: string | undefined, boundHost: string): boolean {
  const isLoopback = boundHost === 'localhost' || boundHost === '::1' || boundHost.startsWith('127.');
  if (!isLoopback) return true;
  const name = URL.parse(`http://${hostHeader ?? ''}`)?.hostname ?? '';
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

function sendHealth(response: ServerResponse, { status, body }: HealthAnswer): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
}

function send(response: ServerResponse, status: number, contentType: string, body: string | Buffer): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-cache',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
