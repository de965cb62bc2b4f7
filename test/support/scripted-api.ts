/**
 * An API for tests of single faults: a list of events, and a hook that may answer any request for a page in another way. It
 * is written apart from the project's simulator and shares no code with it, so that one cannot hide a mistake of the other.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { z } from 'zod';
import type { ScriptedEvent } from './scripted-events.ts';

const FEED_PATH = '/api/v1/events/feed';
const EVENTS_PATH = '/api/v1/events';
const ACCESS_PATH = '/internal/dashboard/stream-access';
/** A job that asks more often than this runs in a circle: from then on every answer is 403, which ends it. */
const USUAL_MAX_REQUESTS = 5_000;

type Json = Readonly<Record<string, unknown>>;

export interface ScriptedOptions {
  /** In the order of serving. Times may be in another order: `since` and `until` select, and change no order. */
  readonly events: readonly ScriptedEvent[];
  /** `live` has `pagination` and `meta.total`, `doc` has `hasMore` and `nextCursor` and no total. */
  readonly shape?: 'live' | 'doc';
  /** Most events a page. */
  readonly maxPage?: number;
  /** Whether there is a stream endpoint, which alone knows `since` and `until`. */
  readonly hasStream?: boolean;
  readonly latencyMs?: number;
  /** A cursor's page begins with the event that the page before ended with. */
  readonly hasInclusiveCursor?: boolean;
  /** A cursor says how many events of the selection came before it; else, at which place of the list it stands. */
  readonly hasOffsetCursor?: boolean;
  /** A cursor is the number of a page: where it begins, the limit says. */
  readonly hasPageCursor?: boolean;
  /** The page with the oldest event says that there is more; the one after it is empty, and the last. */
  readonly endsWithEmptyPage?: boolean;
  /** `until` is cut to a multiple of so many milliseconds. */
  readonly untilGrainMs?: number;
  /** In place of the number of events. */
  readonly total?: number;
  /** A test of many days. */
  readonly maxRequests?: number;
  readonly hook?: PageHook;
}

export interface UsualPage {
  readonly body: Json;
  /** Place of its first event in the list; where it has none, the end of the list. */
  readonly first: number;
  /** Place after its last event. */
  readonly end: number;
  readonly isLast: boolean;
}

export interface PageRequest {
  /** Counts requests for pages, from 1. */
  readonly number: number;
  readonly query: URLSearchParams;
  readonly cursor: string | null;
  readonly isStream: boolean;
  /** What is answered without a hook. */
  readonly usual: UsualPage;
}

export interface ScriptedAnswer {
  readonly status?: number;
  /** Sent as JSON; a Buffer as it is. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `undefined` leaves the usual answer. It may take its time, as an API does. */
export type PageHook = (request: PageRequest) => ScriptedAnswer | undefined | Promise<ScriptedAnswer | undefined>;

export class ScriptedApi {
  /** Tests change them between starts: the list, the total, the latency, the hook. */
  readonly options: { -readonly [K in keyof ScriptedOptions]: ScriptedOptions[K] };
  readonly baseUrl: string;
  #pageRequests = 0;

  private constructor(options: ScriptedOptions, origin: string) {
    this.options = { ...options };
    this.baseUrl = `${origin}/api/v1`;
  }

  /** It ends with the test, or with whatever else calls what is given to `after`. */
  static async open(t: Pick<TestContext, 'after'>, options: ScriptedOptions): Promise<ScriptedApi> {
    const server = createServer((req, res) => {
      api.#answer(req, res).catch(() => res.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const api = new ScriptedApi(options, `http://127.0.0.1:${port}`);
    return api;
  }

  /** Requests for pages so far, of both endpoints. */
  get pageRequests(): number {
    return this.#pageRequests;
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', this.baseUrl);
    const { hasStream = true, latencyMs = 0, hook } = this.options;
    if (url.pathname === ACCESS_PATH) {
      const token = 'a'.repeat(64);
      const streamAccess = { endpoint: FEED_PATH, token, expiresIn: 300, tokenHeader: 'X-Stream-Token' };
      send(res, hasStream ? { body: { streamAccess } } : { status: 404, body: {} });
      return;
    }
    const isStream = url.pathname === FEED_PATH;
    if (!isStream && url.pathname !== EVENTS_PATH) {
      send(res, { status: 404, body: {} });
      return;
    }
    this.#pageRequests += 1;
    if (this.#pageRequests > (this.options.maxRequests ?? USUAL_MAX_REQUESTS)) {
      send(res, { status: 403, body: { code: 'TOO_MANY_REQUESTS_FOR_A_TEST' } });
      return;
    }
    const query = url.searchParams;
    const cursor = query.get('cursor');
    const usual = this.#usualPage(query, isStream);
    const changed = await hook?.({ number: this.#pageRequests, query, cursor, isStream, usual });
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    send(res, changed ?? { body: usual.body });
  }

  #usualPage(query: URLSearchParams, isStream: boolean): UsualPage {
    const { events, maxPage = 5_000, hasPageCursor = false } = this.options;
    const { hasInclusiveCursor = false, endsWithEmptyPage = false } = this.options;
    const limit = Math.min(maxPage, Number(query.get('limit') ?? 100));
    const isAsked = isStream ? selectionOf(query, this.options.untilGrainMs ?? 1) : () => true;
    const places = events.flatMap((event, place) => (isAsked(event) ? [place] : []));
    const cursor = query.get('cursor');
    const page = hasPageCursor ? Number(cursor ?? 0) : 0;
    const isPlace = cursor !== null && !hasPageCursor;
    const begins = isPlace ? Math.max(0, this.#placeOf(cursor, places) - (hasInclusiveCursor ? 1 : 0)) : page * limit;
    const asked = places.slice(begins, begins + limit);
    const ends = begins + asked.length;
    const isLast = ends === places.length && !(endsWithEmptyPage && asked.length > 0);
    const data = asked.flatMap((place) => events[place] ?? []);
    const first = asked[0] ?? events.length;
    const end = (asked.at(-1) ?? first - 1) + 1;
    const nextCursor = hasPageCursor ? String(page + 1) : this.#cursorTo(end, ends);
    return { body: this.#envelope(data, limit, isLast ? null : nextCursor), first, end, isLast };
  }

  #envelope(data: readonly ScriptedEvent[], limit: number, nextCursor: string | null): Json {
    const hasMore = nextCursor !== null;
    const { shape = 'live', total = this.options.events.length } = this.options;
    if (shape === 'doc') return { data, hasMore, nextCursor };
    const pagination = { limit, hasMore, nextCursor, cursorExpiresIn: 116 };
    return { data, pagination, meta: { total, returned: data.length, requestId: `request-${this.#pageRequests}` } };
  }

  #cursorTo(place: number, served: number): string {
    const { events, hasOffsetCursor = false } = this.options;
    // Counted from the oldest event, so that it keeps its place when newer events arrive.
    return toCursor(hasOffsetCursor ? { served } : { left: events.length - place });
  }

  /** @returns how many of `places` lie before the cursor */
  #placeOf(cursor: string, places: readonly number[]): number {
    const { served, left } = CURSOR.parse(JSON.parse(Buffer.from(cursor, 'base64').toString()));
    if (served !== undefined) return Math.min(served, places.length);
    const from = this.options.events.length - (left ?? 0);
    const found = places.findIndex((place) => place >= from);
    return found === -1 ? places.length : found;
  }
}

const CURSOR = z.object({ left: z.number().optional(), served: z.number().optional() });

/** @param to `left`: how many events of the list are still to come; `served`: how many of the selection have come */
export function toCursor(to: z.infer<typeof CURSOR>): string {
  return Buffer.from(JSON.stringify(to)).toString('base64');
}

/** Both bounds are inclusive. */
function selectionOf(query: URLSearchParams, untilGrainMs: number): (event: ScriptedEvent) => boolean {
  const sinceMs = Number(query.get('since') ?? -Infinity);
  const untilMs = Math.floor(Number(query.get('until') ?? Infinity) / untilGrainMs) * untilGrainMs;
  return ({ timestamp }) => timestamp >= sinceMs && timestamp <= untilMs;
}

function send(res: ServerResponse, { status = 200, body, headers = {} }: ScriptedAnswer): void {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body === undefined ? '' : JSON.stringify(body));
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers });
  res.end(bytes);
}
