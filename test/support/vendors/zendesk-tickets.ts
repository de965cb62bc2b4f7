/**
 * Zendesk's `GET /api/v2/incremental/tickets/cursor`, as developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports,
 * /documentation/ticketing/managing-tickets/using-the-incremental-export-api and /best-practices-for-avoiding-rate-limiting say (read
 * 2026-11-27): `start_time` first, then `cursor`, at most 1,000 a page, in the order of `generated_timestamp` (which a change by the system moves
 * and `updated_at` does not follow), `end_of_stream`, a cursor on the last page too, 10 requests a minute beside headers that tell of 700.
 */
import type { TestContext } from 'node:test';
import {
  Digits,
  Draws,
  jsonText,
  retryAfter,
  VendorStub,
  type JsonObject,
  type Limit,
  type Vendor,
  type VendorAnswer,
  type VendorOptions,
  type VendorRequest,
} from './vendor.ts';

export const ZENDESK = { email: 'agent@example.com', token: 'stubStubStubStubStub' };
/** Of incremental exports, which have a limit of their own. */
export const ZENDESK_LIMIT: Limit = { requests: 10, windowMs: 60_000 };

const PATHS = ['/api/v2/incremental/tickets/cursor', '/api/v2/incremental/tickets/cursor.json'];
const MAX_PAGE = 1_000;
const ACCOUNT_REQUESTS = 700;
const MINUTE_MS = 60_000;

interface Ticket {
  readonly generated: number;
  readonly id: bigint;
  readonly json: string;
}

/** Tickets of three years, some of them deleted. */
export async function openZendeskTickets(t: Pick<TestContext, 'after'>, options: VendorOptions): Promise<VendorStub> {
  return VendorStub.open(t, new ZendeskTickets(options), options);
}

class ZendeskTickets implements Vendor {
  readonly records: readonly JsonObject[];
  /** Oldest first. */
  readonly #tickets: readonly Ticket[];
  #ofAccount = { startedAtMs: 0, used: 0 };

  constructor({ count, seed = 1 }: VendorOptions) {
    const made = madeTickets(new Draws(seed), count);
    this.records = made.map(({ record }) => record);
    this.#tickets = made.map(({ record, ...ticket }) => ({ ...ticket, json: jsonText(record) }));
  }

  /** Those of the whole account; nothing tells of the limit of this endpoint. */
  limitHeaders(): Readonly<Record<string, string>> {
    if (Date.now() >= this.#ofAccount.startedAtMs + MINUTE_MS) this.#ofAccount = { startedAtMs: Date.now(), used: 0 };
    this.#ofAccount.used += 1;
    const remaining = String(Math.max(0, ACCOUNT_REQUESTS - this.#ofAccount.used));
    const resets = String(Math.ceil((this.#ofAccount.startedAtMs + MINUTE_MS - Date.now()) / 1_000));
    return {
      'x-rate-limit': String(ACCOUNT_REQUESTS),
      'x-rate-limit-remaining': remaining,
      'ratelimit-limit': String(ACCOUNT_REQUESTS),
      'ratelimit-remaining': remaining,
      'ratelimit-reset': resets,
    };
  }

  refusal(waitMs: number): VendorAnswer {
    const body = JSON.stringify({
      error: 'TooManyRequests',
      description: 'Rate limit for incremental exports exceeded',
    });
    return { status: 429, headers: { 'retry-after': retryAfter(waitMs) }, body };
  }

  answer({ method, url, headers }: VendorRequest, origin: string): VendorAnswer {
    const right = Buffer.from(`${ZENDESK.email}/token:${ZENDESK.token}`).toString('base64');
    if (![`Basic ${right}`, `Bearer ${ZENDESK.token}`].includes(headers.authorization ?? '')) {
      return { status: 401, body: JSON.stringify({ error: "Couldn't authenticate you" }) };
    }
    if (method !== 'GET' || !PATHS.includes(url.pathname)) return failure(404, 'InvalidEndpoint', 'Not found');
    return this.#page(url.searchParams, origin);
  }

  #page(query: URLSearchParams, origin: string): VendorAnswer {
    const size = Number(query.get('per_page') ?? MAX_PAGE);
    if (!Number.isInteger(size) || size < 1) return failure(400, 'InvalidValue', 'per_page is not valid');
    const cursor = query.get('cursor');
    const startTime = query.get('start_time');
    const from = cursor === null ? startOf(startTime) : placeOf(cursor);
    if (typeof from === 'string') return failure(from === TOO_RECENT ? 422 : 400, from, 'Use an older start_time.');
    if (from === null) return failure(400, 'InvalidValue', 'The cursor is not valid');
    const asked = this.#tickets.filter(
      ({ generated, id }) =>
        (generated > from.generated || (generated === from.generated && id > from.id)) && isOldEnough(generated),
    );
    const shown = asked.slice(0, Math.min(size, MAX_PAGE));
    const last = shown.at(-1);
    const after = last === undefined ? cursor : cursorAfter(last);
    const isEnd = shown.length === asked.length;
    const next = new URLSearchParams([...query].filter(([param]) => param !== 'start_time' && param !== 'cursor'));
    if (after !== null) next.set('cursor', after);
    const afterUrl = after === null ? 'null' : JSON.stringify(`${origin}${PATHS[1] ?? ''}?${next.toString()}`);
    const links = `"after_url":${afterUrl},"after_cursor":${JSON.stringify(after)},"before_url":null,"before_cursor":null`;
    return { body: `{"tickets":[${shown.map(({ json }) => json).join(',')}],${links},"end_of_stream":${isEnd}}` };
  }
}

const TOO_RECENT = 'StartTimeTooRecent';

type Place = Pick<Ticket, 'generated' | 'id'>;

function startOf(startTime: string | null): Place | string {
  if (startTime === null || !/^\d+$/.test(startTime)) return 'InvalidValue';
  if (Number(startTime) > Date.now() / 1_000 - 60) return TOO_RECENT;
  return { generated: Number(startTime), id: -1n };
}

/** What changed within the last minute is not served yet. */
function isOldEnough(generated: number): boolean {
  return generated <= Date.now() / 1_000 - 60;
}

function cursorAfter({ generated, id }: Place): string {
  return Buffer.from(`${generated}.0||${id}|`).toString('base64');
}

function placeOf(cursor: string): Place | null {
  const [, generated, id] = /^(\d+)\.0\|\|(\d+)\|$/.exec(Buffer.from(cursor, 'base64').toString()) ?? [];
  return generated === undefined || id === undefined ? null : { generated: Number(generated), id: BigInt(id) };
}

function failure(status: number, error: string, description: string): VendorAnswer {
  return { status, body: JSON.stringify({ error, description }) };
}

function madeTickets(draws: Draws, count: number): (Place & { record: JsonObject })[] {
  const stepS = Math.max(1, Math.floor(94_000_000 / Math.max(1, count)));
  let generated = Math.floor(Date.now() / 1_000) - 95_000_000;
  return Array.from({ length: count }, (_, place) => {
    // A bulk update gives many tickets one second; in it, they come in the order of their ids.
    if (!draws.chance(0.4)) generated += 1 + draws.below(stepS);
    const id = BigInt(place + 1) * 1_000n + 20_978_392_000_001n;
    return { generated, id, record: ticketRecord(draws, id, generated) };
  });
}

function ticketRecord(draws: Draws, id: bigint, generated: number): JsonObject {
  // A change by the system, which does not count as an update.
  const updated = draws.chance(0.1) ? generated - draws.below(900_000) : generated;
  const about = {
    url: `https://example.zendesk.com/api/v2/tickets/${id}.json`,
    id: new Digits(String(id)),
    external_id: draws.chance(0.5) ? null : draws.hex(8),
    created_at: secondsText(updated - draws.below(5_000_000)),
    updated_at: secondsText(updated),
    generated_timestamp: generated,
  };
  if (draws.chance(0.03)) return { ...about, status: 'deleted', subject: 'SCRUBBED', description: 'SCRUBBED' };
  return {
    ...about,
    via: { channel: draws.pick(['email', 'web', 'api']), source: { from: {}, to: {}, rel: null } },
    type: draws.chance(0.3) ? null : draws.pick(['question', 'incident', 'problem', 'task']),
    subject: draws.words(),
    raw_subject: draws.words(),
    description: draws.words(),
    priority: draws.chance(0.3) ? null : draws.pick(['urgent', 'high', 'normal', 'low']),
    status: draws.pick(['new', 'open', 'pending', 'hold', 'solved', 'closed']),
    recipient: draws.chance(0.5) ? null : 'support@example.com',
    requester_id: new Digits(`3${draws.below(1e9)}00000000`),
    submitter_id: draws.below(1e9),
    assignee_id: draws.chance(0.3) ? null : new Digits('9223372036854775807'),
    organization_id: draws.chance(0.3) ? null : draws.below(1e9),
    group_id: draws.below(1e9),
    collaborator_ids: draws.chance(0.6) ? [] : [draws.below(1e9), draws.below(1e9)],
    has_incidents: draws.chance(0.1),
    is_public: draws.chance(0.9),
    due_at: null,
    tags: draws.chance(0.3) ? [] : ['vip', draws.words()],
    custom_fields: [
      { id: new Digits('360000000000027642'), value: draws.chance(0.5) ? null : draws.words() },
      { id: 27648, value: draws.chance(0.5) ? new Digits('12345678901234567890.10') : draws.chance(0.5) },
    ],
    satisfaction_rating: draws.chance(0.7) ? null : { score: draws.pick(['good', 'bad']), comment: draws.words() },
    allow_channelback: false,
    from_messaging_channel: false,
  };
}

function secondsText(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');
}
