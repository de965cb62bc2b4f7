/**
 * The shop of docs/sources.md, with orders that are made and changed while they are read. Sorted by the time of the last change, the one
 * way or the other; `updated_from` and `updated_to` are inclusive, in whole seconds. `after` is a token that stands behind an order,
 * whatever is added or moves, in the list of the bounds that it was given in. It knows nothing of `src/`.
 */
import type { TestContext } from 'node:test';
import {
  Draws,
  jsonText,
  retryAfter,
  VendorStub,
  type JsonObject,
  type Vendor,
  type VendorAnswer,
  type VendorOptions,
  type VendorRequest,
} from './vendor.ts';

const MAX_PAGE = 250;
const STARTED_S = Date.UTC(2026, 8, 1) / 1_000;

export interface ShopOptions extends VendorOptions {
  readonly order: 'asc' | 'desc';
  /** Which bounds it takes; it passes over others without a word. */
  readonly bounds: readonly ('updated_from' | 'updated_to')[];
  /** Seconds between two orders, on average. */
  readonly everySeconds?: number;
  /** Orders in a row, from the middle on, that were changed in one second. */
  readonly ofOneSecond?: number;
  /** A code of the vendor's in place of the page that was asked for. */
  readonly errorOf?: (request: number) => string | undefined;
  /** Called before a request is answered. */
  readonly onRequest?: (request: VendorRequest, shop: Shop) => void;
}

interface Order {
  readonly id: number;
  updatedS: number;
  revision: number;
}

export class Shop implements Vendor {
  readonly records: JsonObject[];
  /** The addresses of all requests, without the server's. */
  readonly asked: URLSearchParams[] = [];
  /** A list without an upper bound was served to its end. */
  hasServedEnd = false;
  /** Tokens given before this request are too old. */
  deadBefore = 0;
  readonly #options: ShopOptions;
  readonly #orders: Order[] = [];
  readonly #served = new Set<Order>();
  readonly #draws: Draws;
  #clockS = STARTED_S;

  constructor(options: ShopOptions) {
    this.#options = options;
    this.#draws = new Draws(options.seed ?? 1);
    const { count, ofOneSecond = 0 } = options;
    const from = Math.floor((count - ofOneSecond) / 2);
    for (let place = 0; place < count; place += 1) {
      this.#make(place > from && place < from + ofOneSecond ? 0 : undefined);
    }
    this.records = [];
    this.#show();
  }

  /** New orders, the newest of all. */
  add(count: number): void {
    for (let made = 0; made < count; made += 1) this.#make();
    this.#show();
  }

  /** Changes orders: they are the newest now. @param places among all that were made, from 0 */
  change(...places: readonly number[]): void {
    for (const place of places) {
      const order = this.#orders[place];
      if (order === undefined) throw new Error(`there is no order at ${place}`);
      this.#clockS += 1;
      order.updatedS = this.#clockS;
      order.revision += 1;
    }
    this.#show();
  }

  /** Changes orders that no answer had yet. @returns how many */
  changeUnserved(): number {
    const places = this.#orders.flatMap((order, place) => (this.#served.has(order) ? [] : [place]));
    this.change(...places);
    return places.length;
  }

  limitHeaders(): Readonly<Record<string, string>> {
    return {};
  }

  refusal(waitMs: number): VendorAnswer {
    return { status: 429, headers: { 'retry-after': retryAfter(waitMs) }, body: '{}' };
  }

  answer(request: VendorRequest): VendorAnswer {
    this.#options.onRequest?.(request, this);
    const error = this.#options.errorOf?.(request.number);
    if (error !== undefined) return { body: JSON.stringify({ error }) };
    const query = request.url.searchParams;
    this.asked.push(query);
    const after = query.get('after');
    const token = after === null ? null : readToken(after);
    if (token !== null && (request.isStale || token.given < this.deadBefore)) {
      return { body: JSON.stringify({ error: 'token_expired' }) };
    }
    const bounds = new URLSearchParams(token?.bounds ?? query);
    const size = Math.min(MAX_PAGE, Number(query.get('per_page') ?? 50));
    const listed = this.#list(bounds);
    const from = token === null ? 0 : listed.findIndex((order) => this.#compare(order, token) > 0);
    const shown = from === -1 ? [] : listed.slice(from, from + size);
    for (const order of shown) this.#served.add(order);
    const last = shown.at(-1);
    const hasMore = last !== undefined && listed.at(-1) !== last;
    if (!hasMore && size > 1 && !bounds.has('updated_to')) this.hasServedEnd = true;
    const next = last === undefined ? after : tokenOf(last, request.number, bounds);
    const meta = { next, more: hasMore, count: this.#orders.length };
    return {
      body: `{"orders":[${shown.map((order) => jsonText(recordOf(order))).join(',')}],"meta":${JSON.stringify(meta)}}`,
    };
  }

  #list(query: URLSearchParams): Order[] {
    const bound = (name: 'updated_from' | 'updated_to', none: number): number => {
      const value = this.#options.bounds.includes(name) ? query.get(name) : null;
      return value === null ? none : Date.parse(value) / 1_000;
    };
    const from = bound('updated_from', -Infinity);
    const to = bound('updated_to', Infinity);
    return this.#orders
      .filter(({ updatedS }) => updatedS >= from && updatedS <= to)
      .sort((one, other) => this.#compare(one, other));
  }

  #compare(one: Pick<Order, 'updatedS' | 'id'>, other: Pick<Order, 'updatedS' | 'id'>): number {
    const sign = this.#options.order === 'asc' ? 1 : -1;
    return sign * (one.updatedS - other.updatedS || one.id - other.id);
  }

  #make(afterS = 1 + this.#draws.below(2 * (this.#options.everySeconds ?? 60))): void {
    this.#clockS += afterS;
    // In no order of time.
    const id = 1_000 + ((this.#orders.length * 7_919) % 1_000_003);
    this.#orders.push({ id, updatedS: this.#clockS, revision: 1 });
  }

  #show(): void {
    this.records.splice(0, this.records.length, ...this.#orders.map(recordOf));
  }
}

export async function openShopOrders(
  t: Pick<TestContext, 'after'>,
  options: ShopOptions,
): Promise<{ readonly shop: Shop; readonly stub: VendorStub }> {
  const shop = new Shop(options);
  return { shop, stub: await VendorStub.open(t, shop, options) };
}

function recordOf({ id, updatedS, revision }: Order): JsonObject {
  const updated = new Date(updatedS * 1_000).toISOString().replace('.000Z', 'Z');
  return { id, updated_at: updated, customer: { name: `customer ${id}` }, revision, lines: [] };
}

interface Token extends Pick<Order, 'updatedS' | 'id'> {
  readonly given: number;
  readonly bounds: string;
}

function tokenOf({ updatedS, id }: Order, given: number, query: URLSearchParams): string {
  const bounds = new URLSearchParams([...query].filter(([name]) => name.startsWith('updated_')));
  return Buffer.from([updatedS, id, given, bounds.toString()].join(' ')).toString('base64url');
}

function readToken(text: string): Token {
  const [updatedS = '', id = '', given = '', bounds = ''] = Buffer.from(text, 'base64url').toString().split(' ');
  return { updatedS: Number(updatedS), id: Number(id), given: Number(given), bounds };
}
