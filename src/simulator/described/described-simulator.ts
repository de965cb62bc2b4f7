/**
 * Any described API, simulated: the description run backwards. Records are made by its words, and every request is answered as the
 * description says that its API answers, with the limits and the faults of the simulator's settings.
 */
import { once, setMaxListeners } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { requestShape, type AskedPage } from '../../source/request-shape.ts';
import type { FilledDescription } from '../../source/fill-in.ts';
import { fraction, purposeSeed } from '../data/random.ts';
import { cutAnswer, deliver, jsonAnswer, mishaps, type Answer } from '../endpoints/answer.ts';
import { RateLimiter } from '../endpoints/rate-limit.ts';
import { rateLimitedAnswer, replacementAnswer } from '../faults/fault-answers.ts';
import type { FaultKind } from '../faults/fault-kinds.ts';
import { FaultSource } from '../faults/faults.ts';
import { parseSettings, type SimulatorSettings } from '../settings.ts';
import { describedPage } from './described-page.ts';
import { describedRecords, withValue, type JsonObject } from './described-records.ts';

const NOTHING_ASKED: AskedPage = { position: null, limit: 1, sinceMs: null, untilMs: null };

export interface DescribedSimulator {
  /** `http://HOST:PORT`, where the description has the origin of its API. */
  readonly origin: string;
  /** In the order of the list. */
  readonly records: readonly JsonObject[];
  close(): Promise<void>;
}

/** Throws a ZodError naming every setting that is out of range. */
export async function simulateDescribed(
  source: FilledDescription,
  given: Partial<SimulatorSettings>,
): Promise<DescribedSimulator> {
  const settings = parseSettings(given);
  const api = new DescribedApi(source, settings);
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const server = createServer((req, res) => {
    api.handle(req, res, closing.signal).catch((error: unknown) => {
      if (res.destroyed || closing.signal.aborted) return;
      process.emitWarning(`simulator: ${req.method ?? ''} ${req.url ?? ''}: ${String(error)}`);
      res.destroy();
    });
  });
  server.keepAliveTimeout = settings.keepAliveSeconds * 1_000;
  server.requestTimeout = 0;
  server.listen(settings.port, settings.host);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : settings.port;
  api.origin = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`;
  return {
    origin: api.origin,
    records: api.records.map(({ json }) => json),
    close: async () => {
      closing.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

class DescribedApi {
  origin = '';
  readonly records;
  readonly #source: FilledDescription;
  readonly #settings: SimulatorSettings;
  readonly #faults = new FaultSource();
  readonly #limiter = new RateLimiter();
  #requests = 0;

  constructor(source: FilledDescription, settings: SimulatorSettings) {
    this.#source = source;
    this.#settings = settings;
    this.records = describedRecords(source.description, settings);
  }

  async handle(req: IncomingMessage, res: ServerResponse, closing: AbortSignal): Promise<void> {
    const body = await text(req);
    const { answer, fault } = this.#decide(req, body);
    this.#requests += 1;
    const { latency, latencyJitter, seed, cutAt } = this.#settings;
    const delayMs = latency + latencyJitter * fraction(purposeSeed(seed, 'latency'), this.#requests);
    if (delayMs > 0) await wait(delayMs, undefined, { signal: closing });
    deliver(res, cutAnswer(answer, fault, cutAt), mishaps.find((mishap) => mishap === fault) ?? null, cutAt);
  }

  #decide(req: IncomingMessage, body: string): { readonly answer: Answer; readonly fault: FaultKind | null } {
    const url = new URL(req.url ?? '/', this.origin);
    const refusal = this.#refusalOf(req, url);
    if (refusal !== null) return { answer: refusal, fault: null };
    const fault = this.#faults.next(this.#settings, 'events');
    const nowMs = Date.now();
    const replaced = fault === null ? null : replacementAnswer(this.#settings, 'events', fault, nowMs);
    if (replaced !== null) return { answer: replaced, fault };
    const cursorTtlMs = this.#settings.cursorTtl * 1_000;
    const asked = { url, body: body === '' ? null : parsed(body), fault, nowMs, cursorTtlMs };
    const page = describedPage(this.#source, this.records, asked);
    return { answer: page === null ? this.#staleAnswer() : jsonAnswer(200, page.body, page.headers), fault };
  }

  /** A request that the description would not have sent, or that comes too often. */
  #refusalOf(req: IncomingMessage, url: URL): Answer | null {
    const { auth } = this.#source;
    // What every request of the description has.
    const { method, url: address, headers } = requestShape(this.#source, NOTHING_ASKED);
    if (req.method !== method || url.pathname !== address.pathname) return jsonAnswer(404, { error: 'not found' });
    const isWrong = Object.entries(headers).some(([name, value]) => req.headers[name] !== value);
    if (isWrong || (auth?.kind === 'query' && url.searchParams.get(auth.param) !== auth.value))
      return jsonAnswer(401, { error: 'the key, or a header, is not as the description says' });
    const { eventsLimit: limit, eventsWindow, rateWindow: kind } = this.#settings;
    const nowMs = Date.now();
    const verdict = this.#limiter.take('pages', { limit, windowMs: eventsWindow * 1_000, kind }, nowMs);
    return verdict.allowed ? null : rateLimitedAnswer(this.#settings, limit, verdict.resetMs, nowMs);
  }

  #staleAnswer(): Answer {
    const { errors } = this.#source.description;
    const [code] = errors?.stale ?? [];
    if (errors === undefined || code === undefined) return jsonAnswer(400, { error: 'the cursor is too old' });
    return jsonAnswer(200, withValue(withValue({}, errors.path, 'stale'), errors.code ?? errors.path, code));
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
