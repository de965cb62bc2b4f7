/** `/api/v1/events` and the stream endpoint: key, cache, budget, token, fault, page; in this order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { bodyBytes, compress, cutParts, deliver, jsonAnswer, mishaps, type Answer, type Mishap } from './answer.ts';
import type { ApiKeys, SentKey } from './api-keys.ts';
import { isAnswer } from './api-keys.ts';
import type { Books, RequestEntry } from './books.ts';
import { openCursor } from './cursor.ts';
import { invalidTokenAnswer, rateLimitedAnswer, replacementAnswer, serverErrorAnswer } from './fault-answers.ts';
import type { FaultKind } from './fault-kinds.ts';
import type { FaultSource } from './faults.ts';
import { numberIn, readPageQuery, type MadePage, type PageMaker } from './pages.ts';
import { fraction, purposeSeed, uuidText } from './random.ts';
import type { RateLimiter } from './rate-limit.ts';
import { ResponseCache } from './response-cache.ts';
import type { SimulatorSettings } from './settings.ts';
import type { StreamAccess } from './stream-access.ts';

export interface PageEndpointParts {
  readonly books: Books;
  readonly keys: ApiKeys;
  readonly limiter: RateLimiter;
  readonly faults: FaultSource;
  readonly access: StreamAccess;
  readonly pages: PageMaker;
  readonly closing: AbortSignal;
}

interface Outcome {
  readonly answer: Answer;
  readonly mishap: Mishap | null;
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
    const { books } = this.parts;
    const cursor = url.searchParams.get('cursor');
    const opened = cursor === null ? null : openCursor(cursor);
    const entry = books.open({
      kind: endpoint,
      atMs: Date.now(),
      method: req.method ?? '',
      path: url.pathname,
      limit: numberIn(url.searchParams.get('limit')),
      cursor,
      cursorAgeMs: opened === null ? null : Date.now() - (opened.expiresAtMs - settings.cursorTtl * 1000),
      sinceMs: numberIn(url.searchParams.get('since')),
      untilMs: numberIn(url.searchParams.get('until')),
    });
    res.once('close', () => {
      books.close(entry);
    });
    const { answer, mishap } = this.decide(settings, endpoint, req, url, entry);
    const delayMs = this.latencyMs(settings, entry.n, answer);
    if (delayMs > 0) await wait(delayMs, undefined, { signal: this.parts.closing });
    const encoded =
      settings.compression.length === 0 || answer.status !== 200
        ? answer
        : await compress(answer, req.headers['accept-encoding'], settings.compression);
    // Cut after compression: what is lost is the end of what travels.
    const framed =
      entry.fault === 'cut-chunked' || entry.fault === 'cut-close' ? cut(settings, encoded, entry.fault) : encoded;
    if (mishap !== 'reset' && mishap !== 'hang') {
      entry.status = framed.status;
      books.bytesServed += bodyBytes(framed);
    }
    deliver(res, framed, mishap, settings.cutAt);
  }

  private latencyMs(settings: SimulatorSettings, n: number, answer: Answer): number {
    const { latency, latencyJitter, latencyPerMb, seed } = settings;
    if (latency + latencyJitter + latencyPerMb === 0) return 0;
    const perMb = answer.status === 200 ? (latencyPerMb * bodyBytes(answer)) / 1e6 : 0;
    return latency + latencyJitter * fraction(purposeSeed(seed, 'latency'), n) + perMb;
  }

  private decide(
    settings: SimulatorSettings,
    endpoint: 'events' | 'stream',
    req: IncomingMessage,
    url: URL,
    entry: RequestEntry,
  ): Outcome {
    const { keys, books } = this.parts;
    const key = keys.check(settings, req, url.searchParams, books);
    if (isAnswer(key)) return { answer: key, mishap: null };
    if (req.method !== 'GET')
      return { answer: jsonAnswer(405, { error: 'Method Not Allowed' }, { Allow: 'GET' }), mishap: null };
    const identity = `${key.key} ${url.pathname}${url.search}`;
    const cached = settings.cache > 0 ? this.cache.get(identity) : null;
    if (cached !== null) {
      entry.cacheHit = true;
      this.note(entry, cached);
      return { answer: cached.answer, mishap: null };
    }
    const budget = this.charge(settings, endpoint, key);
    const outcome =
      budget.refusal === null
        ? this.serve(settings, endpoint, req, url, entry, identity)
        : { answer: budget.refusal, mishap: null };
    return { ...outcome, answer: { ...outcome.answer, headers: { ...outcome.answer.headers, ...budget.headers } } };
  }

  /** Takes one request from the budget: headers for whatever is answered, and the 429 if there was none left. */
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
    const told = limit > 0 && (events ? settings.eventsHeaders : settings.streamHeaders);
    const headers: Record<string, string> = told
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

  private serve(
    settings: SimulatorSettings,
    endpoint: 'events' | 'stream',
    req: IncomingMessage,
    url: URL,
    entry: RequestEntry,
    identity: string,
  ): Outcome {
    const { books } = this.parts;
    if (endpoint === 'stream') {
      const refusal = this.streamRefusal(settings, req);
      if (refusal !== null) return { answer: refusal, mishap: null };
    }
    const fault = this.parts.faults.next(settings, endpoint);
    if (fault !== null && !(fault === 'token' && endpoint === 'events')) entry.fault = fault;
    const page = this.makePage(settings, endpoint, url, entry, fault);
    if (page.cursorState === 'stale') books.staleCursors += 1;
    if (page.cursorState === 'bad') books.badCursors += 1;
    const mishap = mishaps.find((name) => name === fault) ?? null;
    if (endpoint === 'stream' && page.answer.status === 200) this.streamPages += 1;
    this.note(entry, page);
    if (
      settings.cache > 0 &&
      page.answer.status === 200 &&
      (fault === null || (settings.cacheBad && mishap === null))
    ) {
      return { answer: this.cache.put(identity, page, settings.cache * 1000), mishap };
    }
    return { answer: page.answer, mishap };
  }

  private makePage(
    settings: SimulatorSettings,
    endpoint: 'events' | 'stream',
    url: URL,
    entry: RequestEntry,
    fault: FaultKind | null,
  ): MadePage {
    const replacement =
      fault === null || (fault === 'token' && endpoint === 'events')
        ? null
        : replacementAnswer(settings, fault, Date.now());
    if (replacement !== null) return { answer: replacement, firstRank: null, events: 0, cursorState: 'none' };
    const requestId = uuidText(purposeSeed(settings.seed, 'request'), entry.n);
    const page = this.parts.pages.make(settings, readPageQuery(settings, endpoint, url.searchParams), fault, requestId);
    return { ...page, answer: { ...page.answer, headers: { ...page.answer.headers, 'X-Request-Id': requestId } } };
  }

  private streamRefusal(settings: SimulatorSettings, req: IncomingMessage): Answer | null {
    const worn = settings.streamBreaksAfter > 0 && this.streamPages >= settings.streamBreaksAfter;
    if (worn && settings.streamBreaksAs === '404') return jsonAnswer(404, { error: 'Not Found', code: 'NOT_FOUND' });
    if (worn && settings.streamBreaksAs === '403')
      return jsonAnswer(403, { error: 'Forbidden', code: 'STREAM_ACCESS_DENIED' });
    if (worn && settings.streamBreaksAs === '502') return serverErrorAnswer(502, 'html');
    if (!worn && this.parts.access.accepts(settings, req)) return null;
    this.parts.books.rejectedTokens += 1;
    return invalidTokenAnswer(settings);
  }

  private note(entry: RequestEntry, page: MadePage): void {
    entry.firstRank = page.firstRank;
    entry.events = page.events;
    if (page.answer.status !== 200) return;
    this.parts.books.pagesServed += 1;
    this.parts.books.eventsServed += page.events;
  }
}

function cut(settings: SimulatorSettings, answer: Answer, fault: 'cut-chunked' | 'cut-close'): Answer {
  const parts = cutParts(answer.parts, Math.floor(bodyBytes(answer) * settings.cutAt));
  return { ...answer, parts, framing: fault === 'cut-chunked' ? 'chunked' : 'close' };
}
