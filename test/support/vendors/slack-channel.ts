/**
 * Slack's `conversations.history`, as docs.slack.dev/reference/methods/conversations.history, /apis/web-api/pagination and
 * /apis/web-api/rate-limits say (read 2026-11-27): newest first, `limit` up to 999, a cursor under `response_metadata`, `oldest` and `latest` that
 * are exclusive unless `inclusive`, pages shorter than asked, errors under a 200, and 429 with `Retry-After`.
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

export const SLACK_TOKEN = 'xoxb-000000000000-stubStubStubStub';
export const SLACK_CHANNEL = 'C012AB3CD';
/** Tier 3; no header tells how much is left. */
export const SLACK_LIMIT: Limit = { requests: 50, windowMs: 60_000 };

const MAX_PAGE = 999;
const DEFAULT_PAGE = 100;
const TS = /^\d{1,10}(\.\d{1,6})?$/;

interface Message {
  readonly micros: bigint;
  readonly json: string;
}

/** Messages of one channel over two years; `ts` is unique in it. */
export async function openSlackChannel(t: Pick<TestContext, 'after'>, options: VendorOptions): Promise<VendorStub> {
  return VendorStub.open(t, new SlackChannel(options), options);
}

class SlackChannel implements Vendor {
  readonly records: readonly JsonObject[];
  /** Newest first. */
  readonly #messages: readonly Message[];
  readonly #draws: Draws;

  constructor({ count, seed = 1 }: VendorOptions) {
    this.#draws = new Draws(seed);
    const made = madeMessages(this.#draws, count);
    this.records = made.map(({ record }) => record);
    this.#messages = made.map(({ micros, record }) => ({ micros, json: jsonText(record, quoteAsPhp) }));
  }

  limitHeaders(): Readonly<Record<string, string>> {
    return { 'x-slack-req-id': this.#draws.hex(32), 'x-oauth-scopes': 'channels:history' };
  }

  refusal(waitMs: number): VendorAnswer {
    return { ...failure('ratelimited'), status: 429, headers: { 'retry-after': retryAfter(waitMs) } };
  }

  answer({ method, url, headers, body, isStale }: VendorRequest): VendorAnswer {
    if (url.pathname !== '/api/conversations.history') return { ...failure('unknown_method'), status: 404 };
    const query = new URLSearchParams(url.searchParams);
    if (method === 'POST') for (const [param, value] of new URLSearchParams(body)) query.set(param, value);
    const token = /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1] ?? query.get('token');
    if (token === null) return failure('not_authed');
    if (token !== SLACK_TOKEN) return failure('invalid_auth');
    if (query.get('channel') !== SLACK_CHANNEL) return failure('channel_not_found');
    return wrongParameter(query, isStale) ?? this.#page(query);
  }

  #page(query: URLSearchParams): VendorAnswer {
    const limit = Number(query.get('limit') ?? DEFAULT_PAGE);
    const isInclusive = ['1', 'true'].includes(query.get('inclusive') ?? '');
    const oldest = microsOf(query.get('oldest') ?? '0') - (isInclusive ? 1n : 0n);
    const latest = microsOf(query.get('latest') ?? '9999999999') + (isInclusive ? 1n : 0n);
    const cursor = nextOf(query.get('cursor'));
    const asked = this.#messages.filter(
      ({ micros }) => micros > oldest && micros < latest && (cursor === null || micros <= cursor),
    );
    // "Fewer than the requested number of items may be returned", so one page in ten is short.
    const shown = asked.slice(0, this.#draws.chance(0.1) ? Math.max(1, limit - 1 - this.#draws.below(limit)) : limit);
    const next = asked[shown.length];
    const messages = shown.map(({ json }) => json).join(',');
    // "An empty, null, or non-existent next_cursor" ends a list.
    const last = this.#draws.pick(['', ',"response_metadata":{"next_cursor":""}', ',"response_metadata":null']);
    const end = next === undefined ? last : `,"response_metadata":{"next_cursor":"${cursorTo(next.micros)}"}`;
    const counts = '"pin_count":0,"channel_actions_ts":null,"channel_actions_count":0';
    return { body: `{"ok":true,"messages":[${messages}],"has_more":${next !== undefined},${counts}${end}}` };
  }
}

function wrongParameter(query: URLSearchParams, isStale: boolean): VendorAnswer | null {
  const limit = query.get('limit');
  if (limit !== null && (!/^\d+$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_PAGE)) {
    return failure('invalid_limit');
  }
  if (!TS.test(query.get('latest') ?? '0')) return failure('invalid_ts_latest');
  if (!TS.test(query.get('oldest') ?? '0')) return failure('invalid_ts_oldest');
  const cursor = query.get('cursor');
  const isRight = cursor === null || cursor === '' || nextOf(cursor) !== null;
  return !isRight || (isStale && nextOf(cursor) !== null) ? failure('invalid_cursor') : null;
}

function failure(error: string): VendorAnswer {
  return { body: JSON.stringify({ ok: false, error }) };
}

function microsOf(ts: string): bigint {
  const [seconds = '0', fraction = ''] = ts.split('.');
  return BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

function cursorTo(micros: bigint): string {
  return Buffer.from(`next_ts:${micros}`).toString('base64');
}

function nextOf(cursor: string | null): bigint | null {
  const digits = /^next_ts:(\d+)$/.exec(Buffer.from(cursor ?? '', 'base64').toString())?.[1];
  return digits === undefined ? null : BigInt(digits);
}

/** As PHP writes JSON: slashes and everything beyond ASCII escaped. */
function quoteAsPhp(text: string): string {
  return JSON.stringify(text)
    .replaceAll('/', '\\/')
    .replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function madeMessages(draws: Draws, count: number): { micros: bigint; record: JsonObject }[] {
  const stepMs = Math.max(1, Math.floor(63_000_000_000 / Math.max(1, count)));
  let micros = BigInt(Date.now() - 60_000) * 1_000n + 419n;
  return Array.from({ length: count }, () => {
    // Bots write many messages in a second; a `ts` is given once.
    micros -= draws.chance(0.4) ? BigInt(1 + draws.below(900)) : BigInt(1 + draws.below(2 * stepMs)) * 1_000n;
    return { micros, record: messageRecord(draws, micros) };
  });
}

function messageRecord(draws: Draws, micros: bigint): JsonObject {
  const ts = `${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}`;
  const isOfBot = draws.chance(0.3);
  const text = draws.words();
  return {
    ...(isOfBot
      ? { subtype: 'bot_message', bot_id: `B${draws.hex(8).toUpperCase()}` }
      : { user: `U${draws.hex(8).toUpperCase()}` }),
    type: 'message',
    ts,
    ...(draws.chance(0.7) ? { client_msg_id: draws.uuid() } : {}),
    text,
    team: draws.chance(0.1) ? null : 'T0123456',
    blocks: draws.chance(0.5)
      ? []
      : [{ type: 'rich_text', elements: [{ type: 'text', text, url: 'https://example.com/a/b' }] }],
    ...(draws.chance(0.2)
      ? { thread_ts: ts, reply_count: draws.below(90), reply_users: ['U1', 'U2'], subscribed: false }
      : {}),
    ...(draws.chance(0.2) ? { reactions: [{ name: '+1', users: ['U1'], count: 1 }] } : {}),
    ...(draws.chance(0.1) ? { edited: { user: 'U1', ts } } : {}),
    // What an app puts there may be of any size.
    ...(draws.chance(0.1)
      ? { metadata: { event_type: 'order', event_payload: { id: new Digits('123456789012345678901') } } }
      : {}),
  };
}
