/**
 * The API that a description describes, over HTTP: a reading of its words by docs/sources.md alone. It serves a list, holds each
 * request against the description, and has the faults of the case.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { AT, counted, hasKey, said, wrongIn, type Asked } from './asked.ts';
import type { Case, DrawnFault } from './drawn-case.ts';
import { bytesOf, faultyAnswer, keyRefused, pageAnswer, staleAnswer, type Answer } from './drawn-answers.ts';
import { DrawnList, compareRanks, isInOrder, type Bounds, type Rank } from './drawn-list.ts';
import { durationUs, readTime } from './times.ts';
import type { JsonObject } from '../support/vendors/vendor.ts';

/** A job that asks more often than this runs in a circle. */
const MAX_REQUESTS = 3_000;

/** Where a page begins, and what its chain has served. */
interface Position {
  readonly after: Rank | null;
  readonly isInclusive: boolean;
  readonly served: number;
  /** Records that are passed over, counted. */
  readonly skip: number;
  readonly bounds: Bounds;
  readonly pages: number;
}

interface Token {
  readonly after: Rank | null;
  readonly served: number;
  readonly bounds: Bounds;
  readonly diesAtMs: number;
  readonly pages: number;
}

const NO_BOUNDS: Bounds = { sinceUs: null, untilUs: null };

export class DrawnApi {
  readonly origin: string;
  readonly list: DrawnList;
  /** What no request of this description can look like. */
  readonly violations: string[] = [];
  requests: string[] = [];
  mostAtOnce = 0;
  /** A page had records that are not in the order that the description says. */
  hasShownDisorder = false;
  readonly #server: Server;
  readonly #case: Case;
  readonly #tokens: Token[] = [];
  #faults: { readonly fault: DrawnFault; left: number }[] = [];
  #onRequest: (request: number) => void = () => undefined;
  #atOnce = 0;
  #isHealed = false;

  static async open(drawn: Case): Promise<DrawnApi> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new DrawnApi(server, drawn);
  }

  private constructor(server: Server, drawn: Case) {
    this.#server = server;
    this.#case = drawn;
    this.list = new DrawnList(drawn);
    const { port } = server.address() as AddressInfo;
    this.origin = `http://127.0.0.1:${port}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#handle(request, response);
    });
  }

  /** From now on these faults strike. `onRequest` is told each request before it is answered, from 1. */
  begin(faults: readonly DrawnFault[], onRequest: (request: number) => void): void {
    this.#faults = faults.map((fault) => ({ fault, left: fault.times ?? Infinity }));
    this.#onRequest = onRequest;
    this.requests = [];
    this.mostAtOnce = 0;
  }

  /** No fault strikes any more, and tokens live long. */
  heal(): void {
    this.begin([], () => undefined);
    this.#isHealed = true;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
    try {
      const body = await text(request);
      if (this.#case.api.latencyMs > 0) await delay(this.#case.api.latencyMs);
      const { answer, note } = this.#answer(request, body);
      this.requests.push(`${request.method ?? ''} ${request.url ?? ''} ${body} → ${note}`);
      this.#send(response, answer);
    } catch (error) {
      // The client has gone, unless this is a fault of the model.
      if (!request.destroyed) this.violations.push(`the API failed: ${String(error)}`);
      response.destroy();
    } finally {
      this.#atOnce -= 1;
    }
  }

  #send(response: ServerResponse, answer: Answer): void {
    const { bytes, headers } = bytesOf(answer, this.#case.api.isCompressed && answer.breaks === undefined);
    if (answer.breaks === 'before') {
      response.socket?.resetAndDestroy();
      return;
    }
    response.writeHead(answer.status, headers);
    if (answer.breaks === undefined) response.end(bytes);
    else response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
  }

  #answer(request: IncomingMessage, body: string): { answer: Answer; note: string } {
    const number = this.requests.length + 1;
    if (number > MAX_REQUESTS) return { answer: { status: 403, headers: {}, body: '{}' }, note: 'too many requests' };
    this.#onRequest(number);
    const url = new URL(request.url ?? '/', this.origin);
    const asked = { url, body: body === '' ? {} : (JSON.parse(body) as JsonObject) };
    if (!hasKey(request, url, this.#case)) return { answer: keyRefused(this.#case), note: 'key refused' };
    const isFollowing = this.#isFollowing(asked);
    this.violations.push(...wrongIn(request, asked, { text: body, words: this.#case.words, origin: this.origin }));
    const struck = this.#strike(number, isFollowing);
    const page = this.#page(asked);
    if (struck !== null) return { answer: faultyAnswer(this.#case, struck, page.answer), note: struck };
    return page;
  }

  /** Every fault counts its own requests. */
  #strike(number: number, isFollowing: boolean): DrawnFault['kind'] | null {
    const struck = this.#faults.find(
      ({ fault, left }) => number >= fault.nth && left > 0 && (fault.kind !== 'dead' || isFollowing),
    );
    if (struck === undefined) return null;
    struck.left -= 1;
    return struck.fault.kind;
  }

  /** The request by its token or its link: one that a dead cursor can be. */
  #isFollowing(asked: Asked): boolean {
    const { next } = this.#case.words;
    return next.token !== undefined ? said(asked, next.token) !== null : asked.url.searchParams.has(AT);
  }

  #page(asked: Asked): { answer: Answer; note: string } {
    const { words, api } = this.#case;
    const size = Math.min(
      words.size === undefined ? api.ownSize : Number(said(asked, words.size)),
      words.size?.max ?? Infinity,
    );
    const position = this.#position(asked, size);
    if (position === 'stale') return { answer: staleAnswer(this.#case), note: 'stale' };
    if (position === null) return { answer: { status: 400, headers: {}, body: '{}' }, note: 'bad request' };
    const { after, isInclusive, served, skip, bounds, pages } = position;
    const view = this.list.within(bounds);
    const rest = view
      .filter((entry) => after === null || compareRanks(entry, after) > (isInclusive ? -1 : 0))
      .slice(skip);
    const left = Math.max(0, (words.time?.cap ?? Infinity) - served);
    const taken = rest.slice(0, Math.min(this.#pageSize(size, pages), left));
    const hasMore = rest.length > taken.length && taken.length < left;
    this.hasShownDisorder ||= !isInOrder(taken, words.order);
    const last = taken.at(-1) ?? after;
    const token = { after: last, served: served + taken.length, bounds, pages: pages + 1 };
    const page = {
      records: taken.map(({ record }) => record.json),
      hasMore,
      next:
        words.next.link !== undefined
          ? this.#link(asked, token)
          : words.next.token !== undefined
            ? this.#token(token)
            : null,
      total: (api.total === 'all' ? this.list.live : view).length,
    };
    return { answer: pageAnswer(this.#case, page), note: `${taken.length}${hasMore ? '' : ', end'}` };
  }

  /** Pages that are shorter than they could be, where a description allows it. */
  #pageSize(size: number, pages: number): number {
    const { shortEvery, emptyEvery } = this.#case.api;
    if (emptyEvery > 0 && pages % emptyEvery === emptyEvery - 1) return 0;
    return shortEvery > 0 && pages % shortEvery === shortEvery - 1 ? Math.ceil(size / 3) : size;
  }

  /** `null`: the request is none of this description's. */
  #position(asked: Asked, size: number): Position | 'stale' | null {
    const { next } = this.#case.words;
    const { url } = asked;
    const bounds = this.#bounds(url);
    if (bounds === null) return null;
    const top = { after: null, isInclusive: false, served: 0, skip: 0, bounds, pages: 0 };
    const sent =
      next.token !== undefined ? said(asked, next.token) : next.link !== undefined ? url.searchParams.get(AT) : null;
    if (sent !== null) return this.#byToken(sent, bounds);
    if (next.count !== undefined) {
      const skip = counted(url.searchParams.get(next.count.param), next.count, size);
      return skip === null ? null : { ...top, skip, served: skip };
    }
    const { lastRecord } = next;
    if (lastRecord === undefined) return top;
    const value = url.searchParams.get(lastRecord.param);
    const { within } = lastRecord;
    const isBound = [this.#case.words.time?.since, this.#case.words.time?.until].includes(lastRecord.param);
    if (within !== undefined) {
      const skip = counted(url.searchParams.get(within.count.param) ?? String(within.count.first), within.count, size);
      if (skip === null) return null;
      if (value === null || isBound) return { ...top, skip, served: skip };
      const from = this.#fromTime(value);
      return from === null ? null : { ...top, after: from, isInclusive: true, skip, served: skip };
    }
    if (value === null) return top;
    const named = this.list.byId(value);
    return named === undefined ? null : { ...top, after: named, isInclusive: lastRecord.inclusive === true };
  }

  /** The first place of a time, in the list's order. */
  #fromTime(value: string): Rank | null {
    const { time, order } = this.#case.words;
    const us = time === undefined ? null : readTime(value, time.format);
    if (us === null) return null;
    return { rank: order === 'newest-first' ? -us : us, n: -1 };
  }

  #byToken(sent: string, bounds: Bounds): Position | 'stale' | null {
    const token = this.#tokens[Number(sent.replace(/^\D+|^9007199254740993/, '')) - 1_000];
    if (token === undefined) return null;
    if (!this.#isHealed && token.diesAtMs < Date.now()) return 'stale';
    const { tokenKeepsBounds } = this.#case.api;
    const keeps = tokenKeepsBounds || this.#case.words.next.link !== undefined;
    return { ...token, isInclusive: false, skip: 0, bounds: keeps ? token.bounds : bounds };
  }

  #token(token: Omit<Token, 'diesAtMs'>): string {
    const { next } = this.#case.words;
    const lifeMs = next.token?.life === undefined ? Infinity : durationUs(next.token.life) / 1_000;
    this.#tokens.push({ ...token, diesAtMs: Date.now() + lifeMs });
    const number = this.#tokens.length + 999;
    return this.#case.api.tokenIsNumber ? `9007199254740993${number}` : `t/+= ${number}`;
  }

  /** The request once more, with another place in it. */
  #link({ url }: Asked, token: Omit<Token, 'diesAtMs'>): string {
    const { api, words } = this.#case;
    const link = new URL(url);
    link.searchParams.set(AT, this.#token(token));
    const param = words.auth?.query?.param;
    if (param !== undefined && !api.linkHasKey) link.searchParams.delete(param);
    return api.linkIsRelative ? `${link.pathname}${link.search}` : link.href;
  }

  #bounds(url: URL): Bounds | null {
    const { time } = this.#case.words;
    if (time === undefined) return NO_BOUNDS;
    const read = (param: string | undefined): number | null | undefined => {
      const value = param === undefined ? null : url.searchParams.get(param);
      return value === null ? null : (readTime(value, time.format) ?? undefined);
    };
    const sinceUs = read(time.since);
    const untilUs = read(time.until);
    return sinceUs === undefined || untilUs === undefined ? null : { sinceUs, untilUs };
  }
}
