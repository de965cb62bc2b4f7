/**
 * Stripe's `GET /v1/events`, as docs.stripe.com/api/events/list, /api/pagination, /api/errors and /rate-limits say (read 2026-11-27): newest
 * first, at most 100 a page, `starting_after` an id, `has_more`, bounds on `created` in seconds, a 400 for a parameter that is unknown.
 */
import type { TestContext } from 'node:test';
import {
  Digits,
  Draws,
  jsonText,
  VendorStub,
  type Json,
  type JsonObject,
  type Limit,
  type Vendor,
  type VendorAnswer,
  type VendorOptions,
  type VendorRequest,
} from './vendor.ts';

export const STRIPE_KEY = 'sk_test_51StubStubStubStubStub';
/** Of one endpoint, in a sandbox and live; there are no headers that tell how much is left. */
export const STRIPE_LIMIT: Limit = { requests: 25, windowMs: 1_000 };

const MAX_PAGE = 100;
const DEFAULT_PAGE = 10;
const DAY_S = 86_400;
const PLAIN = ['limit', 'starting_after', 'ending_before', 'type', 'created', 'delivery_success'];
const BOUNDS: Readonly<Record<string, (created: number, bound: number) => boolean>> = {
  'created[gt]': (created, bound) => created > bound,
  'created[gte]': (created, bound) => created >= bound,
  'created[lt]': (created, bound) => created < bound,
  'created[lte]': (created, bound) => created <= bound,
};
const LISTS = ['expand[]', 'types[]'];

interface Event {
  readonly id: string;
  readonly created: number;
  /** From the newest event of all, which is 0. */
  readonly place: number;
  readonly type: string;
  readonly json: string;
}

/** Events of the last 29 days: older ones than 30 are no longer served. */
export async function openStripeEvents(t: Pick<TestContext, 'after'>, options: VendorOptions): Promise<VendorStub> {
  return VendorStub.open(t, new StripeEvents(options), options);
}

class StripeEvents implements Vendor {
  readonly records: readonly JsonObject[];
  /** Newest first. */
  readonly #events: readonly Event[];
  readonly #places: ReadonlyMap<string, number>;
  readonly #cap: number;

  constructor({ count, seed = 1, cap = Infinity }: VendorOptions) {
    this.#cap = cap;
    const made = madeEvents(new Draws(seed), count);
    this.records = made.map(({ record }) => record);
    this.#events = made.map(({ record, ...event }) => ({ ...event, json: jsonText(record) }));
    this.#places = new Map(this.#events.map(({ id, place }) => [id, place]));
  }

  limitHeaders(): Readonly<Record<string, string>> {
    return { 'stripe-version': '2026-10-29.acacia' };
  }

  refusal(): VendorAnswer {
    const message =
      'Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.';
    const answer = failure(429, { code: 'rate_limit', message });
    return { ...answer, headers: { 'stripe-rate-limited-reason': 'endpoint-rate' } };
  }

  answer({ method, url, headers }: VendorRequest): VendorAnswer {
    if (url.pathname !== '/v1/events' || method !== 'GET') {
      return failure(404, { message: `Unrecognized request URL (${method}: ${url.pathname}).` });
    }
    const key = keyOf(headers.authorization);
    if (key === '') return failure(401, { message: 'You did not provide an API key.' });
    if (key !== STRIPE_KEY) return failure(401, { message: `Invalid API Key provided: ${key.slice(0, 7)}****` });
    return wrongParameter(url.searchParams) ?? this.#page(url.searchParams);
  }

  #page(query: URLSearchParams): VendorAnswer {
    const after = query.get('starting_after');
    const before = query.get('ending_before');
    const cursor = after ?? before;
    const place = cursor === null ? -1 : this.#places.get(cursor);
    if (place === undefined) {
      const param = after === null ? 'ending_before' : 'starting_after';
      return failure(400, { code: 'resource_missing', message: `No such event: '${cursor ?? ''}'`, param });
    }
    const limit = Number(query.get('limit') ?? DEFAULT_PAGE);
    const asked = this.#events.filter(selection(query)).slice(0, this.#cap);
    const fits = asked.filter((event) => (before === null ? event.place > place : event.place < place));
    const data = before === null ? fits.slice(0, limit) : fits.slice(-limit);
    const hasMore = fits.length > data.length;
    const events = data.map(({ json }) => json).join(',');
    return { body: `{"object":"list","data":[${events}],"has_more":${hasMore},"url":"/v1/events"}` };
  }
}

function keyOf(authorization = ''): string {
  const [scheme = '', value = ''] = authorization.split(' ');
  if (scheme.toLowerCase() === 'bearer') return value;
  return scheme.toLowerCase() === 'basic' ? (Buffer.from(value, 'base64').toString().split(':')[0] ?? '') : '';
}

function wrongParameter(query: URLSearchParams): VendorAnswer | null {
  for (const [param, value] of query) {
    if (param in BOUNDS || param === 'created') {
      if (!/^\d+$/.test(value)) return failure(400, { param, message: `Invalid timestamp: ${value}` });
    } else if (!PLAIN.includes(param) && !LISTS.includes(param)) {
      return failure(400, { code: 'parameter_unknown', param, message: `Received unknown parameter: ${param}` });
    }
  }
  const limit = query.get('limit');
  if (limit !== null && !/^\d+$/.test(limit)) {
    return failure(400, { code: 'parameter_invalid_integer', param: 'limit', message: `Invalid integer: ${limit}` });
  }
  if (limit !== null && (Number(limit) < 1 || Number(limit) > MAX_PAGE)) {
    return failure(400, {
      code: 'parameter_invalid_integer',
      param: 'limit',
      message: 'This value must be from 1 to 100.',
    });
  }
  if (query.has('starting_after') && query.has('ending_before')) {
    return failure(400, { message: 'You can only specify one of these parameters: starting_after, ending_before.' });
  }
  return null;
}

function selection(query: URLSearchParams): (event: Event) => boolean {
  const exact = query.get('created');
  const type = query.get('type');
  const types = query.getAll('types[]');
  const bounds = [...query].flatMap(([param, value]) => {
    const fits = BOUNDS[param];
    return fits === undefined ? [] : [(created: number) => fits(created, Number(value))];
  });
  return (event) =>
    bounds.every((fits) => fits(event.created)) &&
    (exact === null || event.created === Number(exact)) &&
    (type === null || event.type === type) &&
    (types.length === 0 || types.includes(event.type));
}

function failure(status: number, about: Readonly<Record<string, string>>): VendorAnswer {
  return { status, body: JSON.stringify({ error: { type: 'invalid_request_error', ...about } }) };
}

const TYPES = ['charge.succeeded', 'charge.refunded', 'customer.updated', 'invoice.paid', 'payout.paid'] as const;

function madeEvents(draws: Draws, count: number): (Omit<Event, 'json'> & { record: JsonObject })[] {
  const stepS = Math.max(1, Math.floor((29 * DAY_S) / Math.max(1, count)));
  let created = Math.floor(Date.now() / 1_000) - 60;
  return Array.from({ length: count }, (_, place) => {
    // Many events of one second, then a gap: as a job of the customer's makes them.
    if (!draws.chance(1 / 3)) created -= draws.below(2 * stepS);
    const id = `evt_1${place.toString(36).padStart(5, '0')}${draws.hex(18)}`;
    const type = draws.pick(TYPES);
    return { id, created, place, type, record: { id, object: 'event', ...eventFields(draws, created, type) } };
  });
}

function eventFields(draws: Draws, created: number, type: string): JsonObject {
  const object: Json = {
    id: `ch_${draws.hex(24)}`,
    object: type.split('.')[0] ?? '',
    amount: draws.below(100_000_000),
    // A field of the account's own metadata may hold any digits.
    exchange_rate: draws.chance(1 / 2) ? null : new Digits(`0.${draws.below(1_000_000)}0`),
    balance: draws.chance(1 / 9) ? new Digits('-12345678901234567890123') : draws.below(1_000) - 500,
    currency: draws.pick(['usd', 'eur', 'jpy']),
    description: draws.chance(1 / 4) ? null : draws.words(),
    livemode: false,
    metadata: draws.chance(1 / 3) ? {} : { order_id: String(draws.below(100_000)), 'key with "quotes"': draws.words() },
    items: draws.chance(1 / 5) ? [] : [{ sku: draws.hex(6), tags: [draws.words(), draws.words()] }],
  };
  return {
    api_version: draws.chance(1 / 20) ? null : '2026-10-29.acacia',
    created,
    data: draws.chance(1 / 3) ? { object, previous_attributes: { description: draws.words() } } : { object },
    livemode: draws.chance(1 / 2),
    pending_webhooks: draws.below(4),
    request: draws.chance(1 / 6)
      ? null
      : { id: draws.chance(1 / 3) ? null : `req_${draws.hex(14)}`, idempotency_key: draws.uuid() },
    type,
    ...(draws.chance(1 / 10) ? { account: `acct_${draws.hex(16)}` } : {}),
  };
}
