/**
 * The DataSync API, simulated for the demo, the tests and the benchmark: an HTTP server that behaves as the API's users have
 * observed. Where their observations differ, a setting chooses.
 *
 *   request ─▶ route ─┬─ page-endpoint ── key, cache, budget, token, fault ─▶ pages (slices of the data set)
 *                     ├─ stream-access, submissions, internal answers
 *                     └─ control-endpoint (/__sim/…: counts, log and controls)
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once, setMaxListeners } from 'node:events';
import { deliver, jsonAnswer, type Answer } from './endpoints/answer.ts';
import { ApiKeys, isAnswer } from './endpoints/api-keys.ts';
import { handleControl } from './endpoints/control-endpoint.ts';
import { DataSet, type ArrivalOptions, type DataSetCounts } from './data/data-set.ts';
import { eventTypes } from './data/event-parts.ts';
import type { TrueEvent } from './data/event-store.ts';
import { replacementAnswer } from './faults/fault-answers.ts';
import { FaultSource } from './faults/faults.ts';
import { PageEndpoint } from './endpoints/page-endpoint.ts';
import { PageMaker } from './endpoints/pages.ts';
import { RateLimiter, type RateWindow } from './endpoints/rate-limit.ts';
import type { RawEvent } from './data/raw-events.ts';
import { applySettings, parseSettings, type SimulatorSettings } from './settings.ts';
import { StreamAccess } from './endpoints/stream-access.ts';
import { Submissions, type Submission } from './endpoints/submissions.ts';
import { Traffic, type RequestEntry, type RequestKind, type TrafficCounts } from './traffic.ts';

export type { RawEvent } from './data/raw-events.ts';
export type { SimulatorSettings } from './settings.ts';
export type { TrueEvent } from './data/event-store.ts';
export type { RequestEntry } from './traffic.ts';

export interface SimulatorStats extends TrafficCounts {
  /** Requests that were answered with 429. */
  readonly rateLimited: number;
  readonly data: DataSetCounts;
  readonly rateWindows: readonly RateWindow[];
  readonly submissions: readonly Submission[];
}

export interface StartOptions extends Partial<SimulatorSettings> {
  /** Events served at positions of the caller's choice, on top of `events`. */
  readonly rawEvents?: readonly RawEvent[];
}

export interface Simulator {
  readonly port: number;
  /** `http://HOST:PORT/api/v1`: a value for API_BASE_URL. */
  readonly baseUrl: string;
  stats(): SimulatorStats;
  /** The newest requests (at most 200,000), oldest first. */
  log(): readonly RequestEntry[];
  /** Changes settings while it serves. Throws RangeError for settings that shape the data set or the socket. */
  apply(patch: Partial<SimulatorSettings>): void;
  /** Adds events: newer than all existing ones, or at a given time (late arrivals). */
  addEvents(count: number, options?: ArrivalOptions): void;
  /** Every event in serving order, as the source knows it. `raw` is a view: do not write to it. */
  truth(): Iterable<TrueEvent>;
  /** The events that a `missing-fields` fault served without a field: id → field. */
  damaged(): ReadonlyMap<string, string>;
  /** Stops at once: answers that are still being sent are broken off. */
  close(): Promise<void>;
}

const ARRIVAL_TICK_MS = 50;

/** Starts a simulator. Throws a ZodError naming every setting that is out of range. */
export async function startSimulator(options: StartOptions = {}): Promise<Simulator> {
  const { rawEvents = [], ...given } = options;
  const server = new SimulatorServer(parseSettings(given), rawEvents);
  await server.listen();
  return server;
}

class SimulatorServer implements Simulator {
  port = 0;
  readonly data: DataSet;
  private settings: SimulatorSettings;
  private readonly closing = new AbortController();
  private readonly traffic = new Traffic();
  private readonly keys = new ApiKeys();
  private readonly limiter = new RateLimiter();
  private readonly faults = new FaultSource();
  private readonly access = new StreamAccess();
  private readonly submissions = new Submissions();
  private readonly pages: PageMaker;
  private readonly pageEndpoint: PageEndpoint;
  private readonly server = createServer((req, res) => {
    this.handle(req, res).catch((error: unknown) => {
      // Errors are expected when the client has left or we are closing. Any other must not pass for a simulated fault.
      if (res.destroyed || this.closing.signal.aborted) return;
      process.emitWarning(`simulator: ${req.method ?? ''} ${req.url ?? ''}: ${String(error)}`);
      res.destroy();
    });
  });
  private readonly arrivalTimer: NodeJS.Timeout;
  private arrivalDebt = 0;

  constructor(settings: SimulatorSettings, rawEvents: readonly RawEvent[]) {
    this.settings = settings;
    this.data = new DataSet(settings, rawEvents);
    this.pages = new PageMaker(this.data);
    const { traffic, keys, limiter, faults, access, pages } = this;
    this.pageEndpoint = new PageEndpoint({
      traffic,
      keys,
      limiter,
      faults,
      access,
      pages,
      closing: this.closing.signal,
    });
    // Every delayed answer listens to this signal, so more than ten listeners are no leak.
    setMaxListeners(0, this.closing.signal);
    this.server.keepAliveTimeout = settings.keepAliveSeconds * 1000;
    // Hanging answers and slow readers are simulated on purpose: node's own timeout must not end them.
    this.server.requestTimeout = 0;
    this.arrivalTimer = setInterval(() => {
      this.arrive();
    }, ARRIVAL_TICK_MS);
    this.arrivalTimer.unref();
  }

  get baseUrl(): string {
    const { host } = this.settings;
    return `http://${host.includes(':') ? `[${host}]` : host}:${this.port}/api/v1`;
  }

  async listen(): Promise<void> {
    this.server.listen(this.settings.port, this.settings.host);
    await once(this.server, 'listening');
    const address = this.server.address();
    if (address !== null && typeof address === 'object') this.port = address.port;
  }

  private arrive(): void {
    this.arrivalDebt += (this.settings.arrivals * ARRIVAL_TICK_MS) / 1000;
    const due = Math.floor(this.arrivalDebt);
    this.arrivalDebt -= due;
    this.data.addEvents(due);
  }

  private async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { settings } = this;
    const url = new URL(req.url ?? '/', 'http://simulator');
    if (url.pathname.startsWith('/__sim/')) {
      await handleControl(this, req, res, url);
      return;
    }
    if (url.pathname === '/api/v1/events') {
      await this.pageEndpoint.handle(settings, 'events', req, res, url);
      return;
    }
    if (url.pathname === settings.streamPath) {
      await this.pageEndpoint.handle(settings, 'stream', req, res, url);
      return;
    }
    await this.handleSmall(settings, req, res, url);
  }

  /** Answers everything that is not a page. */
  private async handleSmall(
    settings: SimulatorSettings,
    req: IncomingMessage,
    res: ServerResponse,
    url: URL,
  ): Promise<void> {
    const kind = smallKind(url.pathname);
    const entry = this.traffic.open(kind, req, res, url);
    const answer = await this.smallAnswer(settings, kind, req, url, entry);
    // Node keeps the connection only when the request was read to its end.
    req.resume();
    const mishap = entry.fault === 'reset' || entry.fault === 'hang' || entry.fault === 'cut-body' ? entry.fault : null;
    if (mishap !== 'reset' && mishap !== 'hang') entry.status = answer.status;
    deliver(res, answer, mishap, settings.cutAt);
  }

  private async smallAnswer(
    settings: SimulatorSettings,
    kind: RequestKind,
    req: IncomingMessage,
    url: URL,
    entry: RequestEntry,
  ): Promise<Answer> {
    if (kind === 'health') return jsonAnswer(200, { status: 'ok', timestamp: new Date().toISOString() });
    const key = this.keys.check(settings, req, url.searchParams, this.traffic.counts);
    if (kind === 'other') return jsonAnswer(404, { error: 'Not Found', code: 'NOT_FOUND' });
    if (isAnswer(key)) return key;
    if (kind === 'submissions') return await this.submissions.take(req, key.key, url.searchParams.get('github_repo'));
    if (kind === 'stats') return this.internalStats(settings);
    const fault = this.faults.next(settings, 'access');
    entry.fault = fault;
    return (
      (fault === null ? null : replacementAnswer(settings, 'access', fault, Date.now())) ??
      this.access.grant(settings, req, key.key, this.traffic.counts)
    );
  }

  private internalStats(settings: SimulatorSettings): Answer {
    const { count } = this.data.store;
    return jsonAnswer(200, {
      counts: { events: count, sessions: settings.sessions, users: settings.users },
      eventTypes: Object.fromEntries(
        eventTypes.map(({ type, percent }) => [type, Math.round((count * percent) / 100)]),
      ),
    });
  }

  stats(): SimulatorStats {
    return {
      ...structuredClone(this.traffic.counts),
      rateLimited: this.traffic.counts.statuses['429'] ?? 0,
      data: this.data.counts(),
      rateWindows: this.limiter.windows.map((window) => ({ ...window })),
      submissions: [...this.submissions.accepted],
    };
  }

  log(): readonly RequestEntry[] {
    return this.traffic.log;
  }

  apply(patch: Partial<SimulatorSettings>): void {
    this.settings = applySettings(this.settings, patch);
    this.server.keepAliveTimeout = this.settings.keepAliveSeconds * 1000;
  }

  addEvents(count: number, options: ArrivalOptions = {}): void {
    this.data.addEvents(count, options);
  }

  truth(): Iterable<TrueEvent> {
    return this.data.truth();
  }

  damaged(): ReadonlyMap<string, string> {
    return this.pages.damaged;
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    clearInterval(this.arrivalTimer);
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

function smallKind(pathname: string): RequestKind {
  switch (pathname) {
    case '/internal/dashboard/stream-access':
      return 'access';
    case '/internal/stats':
      return 'stats';
    case '/internal/health':
    case '/health':
      return 'health';
    case '/api/v1/submissions':
      return 'submissions';
    default:
      return 'other';
  }
}
