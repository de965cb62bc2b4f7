/** The model's API over HTTP: its own small reading of the contract, apart from the project's simulator. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ActiveFault, faultyAnswer, pageBody, type Answer, type PageParts } from './answer-faults.ts';
import type { ApiModel } from './api-model.ts';
import type { Place } from './event-model.ts';
import type { ApiTraits, Fault } from './history.ts';

export const API_KEY = 'k';
const ACCESS_PATH = '/internal/dashboard/stream-access';
const EVENTS_PATH = '/api/v1/events';
const FEED_PATH = '/api/v1/events/d4ta/feed';
const TOKEN_LIFE_S = 300;

/** Before the first place. */
const TOP = { orderMs: 9_999_999_999_999, seq: 0 };

interface Cursor {
  readonly orderMs: number;
  readonly seq: number;
  readonly exp: number | null;
}

export class ApiServer {
  readonly baseUrl: string;
  readonly #server: Server;
  readonly #model: ApiModel;
  readonly #cache = new Map<string, { readonly answer: Answer; readonly untilMs: number }>();
  #traits: ApiTraits;
  #faults: readonly ActiveFault[] = [];
  #onPage: (page: number) => void = () => undefined;
  #pages = 0;
  /** What was asked since the last start began, for whoever reads a breach. */
  requests: string[] = [];
  /** Events that were served since then, each once. */
  readonly served = new Set<string>();

  static async open(model: ApiModel, traits: ApiTraits): Promise<ApiServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ApiServer(server, model, traits);
  }

  private constructor(server: Server, model: ApiModel, traits: ApiTraits) {
    this.#server = server;
    this.#model = model;
    this.#traits = traits;
    const { port } = server.address() as AddressInfo;
    this.baseUrl = `http://127.0.0.1:${port}/api/v1`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      request.resume();
      void this.#handle(new URL(request.url ?? '/', this.baseUrl), response);
    });
  }

  /** From now on these faults strike. `onPage` is told each request for a page before it is answered, from 1. */
  begin(faults: readonly Fault[], onPage: (page: number) => void): void {
    this.#faults = faults.map((fault) => new ActiveFault(fault));
    this.#onPage = onPage;
    this.#pages = 0;
    this.requests = [];
    this.served.clear();
  }

  /** Cursors live long, nothing is cached, no fault strikes any more. */
  heal(): void {
    this.begin([], () => undefined);
    this.#traits = { ...this.#traits, cursorLifeMs: null, cacheMs: 0 };
    this.#cache.clear();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(url: URL, response: ServerResponse): Promise<void> {
    send(response, await this.#answer(url));
  }

  async #answer(url: URL): Promise<Answer> {
    const isStream = url.pathname === FEED_PATH && this.#traits.stream !== null;
    if (url.pathname === ACCESS_PATH) return this.#access();
    if (!isStream && url.pathname !== EVENTS_PATH) return { status: 404, body: '{}' };
    this.#pages += 1;
    this.#onPage(this.#pages);
    const { answer, note } = this.#answerPage(url, isStream);
    this.requests.push(`${isStream ? 'feed' : 'events'}${url.search} → ${note}`);
    if (this.#traits.latencyMs > 0) await delay(this.#traits.latencyMs);
    return answer;
  }

  #access(): Answer {
    if (this.#traits.stream === null) return { status: 404, body: '{}' };
    const token = {
      endpoint: FEED_PATH,
      token: 'a'.repeat(64),
      expiresIn: TOKEN_LIFE_S,
      tokenHeader: 'X-Stream-Token',
    };
    return { status: 200, body: JSON.stringify({ streamAccess: token }) };
  }

  #answerPage(url: URL, isStream: boolean): { answer: Answer; note: string } {
    const key = `${url.pathname}${url.search}`;
    const asked = { hasCursor: url.searchParams.has('cursor'), isStream };
    // Every fault counts its own requests, also those that another one spoils.
    const [fault] = this.#faults.filter((candidate) => candidate.strikes(asked));
    const page = this.#page(url.searchParams, isStream);
    if (fault !== undefined && !('status' in page)) {
      return { answer: faultyAnswer(fault.kind, this.#traits.shape, page), note: fault.kind };
    }
    const cached = this.#cache.get(key);
    if (cached !== undefined && cached.untilMs > Date.now()) {
      return { answer: { ...cached.answer, headers: { 'x-cache': 'HIT', 'x-cache-ttl': '30' } }, note: 'cached' };
    }
    const answer = 'status' in page ? page : { status: 200, body: pageBody(this.#traits.shape, page) };
    if (this.#traits.cacheMs > 0 && answer.status === 200) {
      this.#cache.set(key, { answer, untilMs: Date.now() + this.#traits.cacheMs });
    }
    if (!('status' in page)) for (const event of page.data) this.served.add(event);
    return {
      answer,
      note: 'status' in page ? String(page.status) : `${page.data.length}${page.hasMore ? '' : ', end'}`,
    };
  }

  #page(query: URLSearchParams, isStream: boolean): PageParts | Answer {
    const { cap, stream, staleAs, endsWithEmptyPage } = this.#traits;
    const limit = Math.min(cap, Number(query.get('limit') ?? 100));
    const cursor = readCursor(query.get('cursor'));
    if (cursor !== null && cursor.exp !== null && cursor.exp < Date.now())
      return { status: staleAs, body: '{"code":"CURSOR_EXPIRED"}' };
    const keepsSince = cursor === null || stream?.sinceWithCursor === true;
    const bounds = {
      since: isStream && keepsSince ? numberOf(query.get('since')) : null,
      until: isStream ? numberOf(query.get('until')) : null,
    };
    const view = this.#model.within(bounds);
    const rest = cursor === null ? view : view.filter((place) => this.#isAfter(place, cursor));
    const isAsked = bounds.since !== null || bounds.until !== null;
    if (rest.length === 0 && isAsked && cursor === null && stream?.outsideRange === 418) {
      return { status: 418, body: '{"code":"OUT_OF_RANGE"}' };
    }
    const taken = rest.slice(0, limit);
    const last = taken.at(-1);
    const isNew = (place: Place): boolean => place.orderMs !== cursor?.orderMs || place.seq !== cursor.seq;
    const hasMore = rest.length > taken.length || (endsWithEmptyPage && taken.some(isNew));
    return {
      data: taken.map(({ body }) => body),
      limit,
      hasMore,
      nextCursor: hasMore && last !== undefined ? this.#writeCursor(last) : null,
      ownCursor: this.#writeCursor(cursor ?? TOP),
      total: this.#model.places.length,
    };
  }

  #isAfter(place: Place, cursor: Cursor): boolean {
    const distance = cursor.orderMs - place.orderMs || cursor.seq - place.seq;
    return distance > 0 || (distance === 0 && this.#traits.inclusiveCursor);
  }

  #writeCursor({ orderMs, seq }: Pick<Place, 'orderMs' | 'seq'>): string {
    const { cursorLifeMs } = this.#traits;
    return `c.${orderMs}.${seq}.${cursorLifeMs === null ? '' : Date.now() + cursorLifeMs}`;
  }
}

function readCursor(text: string | null): Cursor | null {
  if (text === null) return null;
  const [, orderMs, seq, exp] = text.split('.');
  return { orderMs: Number(orderMs), seq: Number(seq), exp: exp === '' ? null : Number(exp) };
}

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text);
}

function send(response: ServerResponse, { status, body, headers, cutAfter }: Answer): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length, ...headers });
  if (cutAfter === undefined) {
    response.end(bytes);
    return;
  }
  response.write(bytes.subarray(0, cutAfter), () => response.destroy());
}
