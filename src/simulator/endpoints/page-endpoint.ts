/** `/api/v1/events` and the stream endpoint. A request passes key, cache, budget, token and fault, in this order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { bodyBytes, compress, cutAnswer, deliver, jsonAnswer, mishaps, type Answer } from './answer.ts';
import type { ApiKeys, SentKey } from './api-keys.ts';
import { isAnswer } from './api-keys.ts';
import {
  invalidTokenAnswer,
  rateLimitedAnswer,
  replacementAnswer,
  serverErrorAnswer,
} from '../faults/fault-answers.ts';
import type { FaultKind } from '../faults/fault-kinds.ts';
import type { FaultSource } from '../faults/faults.ts';
import { readPageQuery, type MadePage, type PageMaker } from './pages.ts';
import { fraction, purposeSeed, uuidText } from '../data/random.ts';
import type { RateLimiter } from './rate-limit.ts';
import { ResponseCache } from './response-cache.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { StreamAccess } from './stream-access.ts';
import type { RequestEntry, Traffic } from '../traffic.ts';

export interface PageEndpointParts {
  readonly traffic: Traffic;
  readonly keys: ApiKeys;
  readonly limiter: RateLimiter;
  readonly faults: FaultSource;
  readonly access: StreamAccess;
  readonly pages: PageMaker;
  readonly closing: AbortSignal;
}

/** One request on its way to an answer. */
interface Asked {
  readonly settings: SimulatorSettings;
  readonly endpoint: 'events' | 'stream';
  readonly req: IncomingMessage;
  readonly url: URL;
  readonly entry: RequestEntry;
  readonly requestId: string;
}

interface Outcome {
  readonly answer: Answer;
  readonly fault: FaultKind | null;
}

export class PageEndpoint {
  private readonly parts: PageEndpointParts;
  private readonly cache = new ResponseCache();
  private streamPages = 0;

  constructor(parts: PageEndpointParts) {
    this.parts = parts;
  }

  async handle(
    settings: SimulatorSettings,
    endpoint: 'events' | 'stream',
    req: IncomingMessage,
    res: ServerResponse,
    url: URL,
  ): Promise<void> {
    const { traffic, closing } = this.parts;
    const entry = traffic.open(endpoint, req, res, url);
    const requestId = uuidText(purposeSeed(settings.seed, 'request'), entry.n);
    const { answer, fault } = this.decide({ settings, endpoint, req, url, entry, requestId });
    const delayMs = this.latencyMs(settings, entry.n, answer);
    if (delayMs > 0) await wait(delayMs, undefined, { signal: closing });
    const encoded =
      settings.compression.length === 0 || answer.status !== 200
        ? answer
        : await compress(answer, req.headers['accept-encoding'], settings.compression);
    // Cut after compression: the cut removes the end of what travels.
    const framed = cutAnswer(encoded, fault, settings.cutAt);
    if (fault !== 'reset' && fault !== 'hang') {
      entry.status = framed.status;
      traffic.counts.bytesServed += bodyBytes(framed);
    }
    res.setHeader('X-Request-Id', requestId);
    deliver(res, framed, mishaps.find((mishap) => mishap === fault) ?? null, settings.cutAt);
  }

  private latencyMs(settings: SimulatorSettings, n: number, answer: Answer): number {
    const { latency, latencyJitter, latencyPerMb, seed } = settings;
    if (latency + latencyJitter + latencyPerMb === 0) return 0;
    const perMb = answer.status === 200 ? (latencyPerMb * bodyBytes(answer)) / 1e6 : 0;
    return latency + latencyJitter * fraction(purposeSeed(seed, 'latency'), n) + perMb;
  }

  private decide(asked: Asked): Outcome {
    const { settings, endpoint, req, url, entry } = asked;
    const key = this.parts.keys.check(settings, req, url.searchParams, this.parts.traffic.counts);
    if (isAnswer(key)) return { answer: key, fault: null };
    if (req.method !== 'GET') {
      return { answer: jsonAnswer(405, { error: 'Method Not Allowed' }, { Allow: 'GET' }), fault: null };
    }
    const identity = `${key.key} ${url.pathname}${url.search}`;
    const cached = settings.cache > 0 ? this.cache.get(identity) : null;
    if (cached !== null) {
      entry.cacheHit = true;
      this.note(entry, cached);
      return cached;
    }
    const budget = this.charge(settings, endpoint, key);
    const { answer, fault } =
      budget.refusal === null ? this.serve(asked, identity) : { answer: budget.refusal, fault: null };
    // Last, because the headers of a 429 burst say that nothing remains, whatever the budget.
    return { answer: { ...answer, headers: { ...budget.headers, ...answer.headers } }, fault };
  }

  /** Takes one request from the budget. @returns headers for any answer, and the 429 when the budget is used up */
  private charge(
    settings: SimulatorSettings,
    endpoint: 'events' | 'stream',
    key: SentKey,
  ): { headers: Record<string, string>; refusal: Answer | null } {
    const events = endpoint === 'events';
    const full = events ? settings.eventsLimit : settings.streamLimit;
    const limit = key.inUrl ? Math.ceil(full / 2) : full;
    const windowMs = (events ? settings.eventsWindow : settings.streamWindow) * 1000;
    const nowMs = Date.now();
    const budget = `${endpoint}${key.inUrl ? ' (key in URL)' : ''} ${key.key}`;
    const verdict = this.parts.limiter.take(budget, { limit, windowMs, kind: settings.rateWindow }, nowMs);
    const isAnnounced = limit > 0 && (events ? settings.eventsHeaders : settings.streamHeaders);
    const headers: Record<string, string> = isAnnounced
      ? {
          'X-RateLimit-Limit': String(limit),
          'X-RateLimit-Remaining': String(verdict.remaining),
          'X-RateLimit-Reset': String(
            Math.ceil((settings.rateReset === 'seconds' ? verdict.resetMs : nowMs + verdict.resetMs) / 1000),
          ),
        }
      : {};
    return { headers, refusal: verdict.allowed ? null : rateLimitedAnswer(settings, limit, verdict.resetMs, nowMs) };
  }

  private serve(asked: Asked, identity: string): Outcome {
    const { settings, endpoint, req, entry } = asked;
    const { counts } = this.parts.traffic;
    const refusal = endpoint === 'stream' ? this.streamRefusal(settings, req) : null;
    if (refusal !== null) return { answer: refusal, fault: null };
    const drawn = this.parts.faults.next(settings, endpoint);
    // `/events` has no token to reject.
    const fault = drawn === 'token' && endpoint === 'events' ? null : drawn;
    entry.fault = fault;
    const page = this.makePage(asked, fault);
    if (page.cursorState === 'stale') counts.staleCursors += 1;
    if (page.cursorState === 'bad') counts.badCursors += 1;
    if (endpoint === 'stream' && page.answer.status === 200) this.streamPages += 1;
    this.note(entry, page);
    // The cache can keep a bad page of the API, but not a connection that breaks between the cache and the client.
    const brokenOnTheWay = mishaps.some((mishap) => mishap === fault);
    const cacheable = page.answer.status === 200 && (fault === null || (settings.cacheBad && !brokenOnTheWay));
    if (settings.cache === 0 || !cacheable) return { answer: page.answer, fault };
    return { answer: this.cache.put(identity, { ...page, fault }, settings.cache * 1000), fault };
  }

  private makePage({ settings, endpoint, url, requestId }: Asked, fault: FaultKind | null): MadePage {
    const replacement = fault === null ? null : replacementAnswer(settings, endpoint, fault, Date.now());
    if (replacement !== null) return { answer: replacement, firstRank: null, events: 0, cursorState: 'none' };
    return this.parts.pages.make(settings, readPageQuery(settings, endpoint, url.searchParams), fault, requestId);
  }

  private streamRefusal(settings: SimulatorSettings, req: IncomingMessage): Answer | null {
    const isBroken = settings.streamBreaksAfter > 0 && this.streamPages >= settings.streamBreaksAfter;
    if (isBroken && settings.streamBreaksAs === '404')
      return jsonAnswer(404, { error: 'Not Found', code: 'NOT_FOUND' });
    if (isBroken && settings.streamBreaksAs === '403')
      return jsonAnswer(403, { error: 'Forbidden', code: 'STREAM_ACCESS_DENIED' });
    if (isBroken && settings.streamBreaksAs === '502') return serverErrorAnswer(502, 'html');
    if (!isBroken && this.parts.access.accepts(settings, req)) return null;
    this.parts.traffic.counts.rejectedTokens += 1;
    return invalidTokenAnswer(settings);
  }

  private note(entry: RequestEntry, page: MadePage): void {
    entry.firstRank = page.firstRank;
    entry.events = page.events;
    if (page.answer.status !== 200) return;
    this.parts.traffic.counts.pagesServed += 1;
    this.parts.traffic.counts.eventsServed += page.events;
  }
}
