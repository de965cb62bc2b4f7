/**
 * What the stubs of vendors share: a server on loopback, a limit of requests, faults on demand, seeded draws, and JSON that keeps
 * the digits of its numbers. Each stub is written from its vendor's documentation, and knows nothing of `sources/`.
 */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { Dice } from '../../damage/dice.ts';

const SECOND_MS = 1_000;
/** A job that asks more often than this runs in a circle: from then on every answer is 403. */
const MAX_REQUESTS = 100_000;

/** `refused` is the vendor's refusal without a reason that a client could have known; `stale-cursor` only where the vendor has it. */
export type Fault = 'reset' | 'error-500' | 'html-502' | 'truncated' | 'refused' | 'stale-cursor';

/** At most `requests` in each window. It begins with the second of the first request after the window before. */
export interface Limit {
  readonly requests: number;
  readonly windowMs: number;
}

export interface VendorOptions {
  /** How many records there are. */
  readonly count: number;
  readonly seed?: number;
  /** Default: none. */
  readonly limit?: Limit;
  /** Records after which a query ends as if it were complete, where it can be asked by time: Stripe's does not. */
  readonly cap?: number;
  /** In links, in place of this server's address: somebody else's. */
  readonly linksTo?: string;
  /** Asked for each request that is not refused; they count from 1. */
  readonly fault?: (request: number) => Fault | undefined;
}

export interface VendorRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Counts from 1. */
  readonly number: number;
  /** The fault `stale-cursor` was drawn: a cursor is answered as one that is too old. */
  readonly isStale: boolean;
}

export interface VendorAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How far a window is used; without a limit, as if nobody had asked yet. */
export interface WindowUse {
  readonly requests: number;
  readonly used: number;
  readonly resetsAtMs: number;
}

export interface Vendor {
  /** In no particular order. */
  readonly records: readonly JsonObject[];
  /** @param origin of this server, as links name it */
  answer(request: VendorRequest, origin: string): VendorAnswer;
  /** What the vendor says to a request over its limit. @param waitMs until the window ends */
  refusal(waitMs: number): VendorAnswer;
  /** Added to every answer. */
  limitHeaders(use: WindowUse): Readonly<Record<string, string>>;
}

export class VendorStub {
  readonly origin: string;
  readonly records: readonly JsonObject[];
  /** Requests so far, those that were refused among them. */
  requests = 0;
  refusals = 0;
  /** By how much the waits that refusals told were longer than the windows, because they are told in whole seconds. */
  roundedUpMs = 0;
  /** Of each window of the limit, when it began, in ms of the epoch, and how many requests were granted. */
  readonly windows: { readonly startedAtMs: number; granted: number }[] = [];
  readonly #vendor: Vendor;
  readonly #options: VendorOptions;
  #used = 0;

  private constructor(vendor: Vendor, options: VendorOptions, origin: string) {
    this.#vendor = vendor;
    this.#options = options;
    this.origin = origin;
    this.records = vendor.records;
  }

  /** It ends with the test, or with whatever else calls what is given to `after`. */
  static async open(t: Pick<TestContext, 'after'>, vendor: Vendor, options: VendorOptions): Promise<VendorStub> {
    const server = createServer((req, res) => {
      stub.#serve(req, res).catch(() => res.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const stub = new VendorStub(vendor, options, `http://127.0.0.1:${port}`);
    return stub;
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await text(req);
    this.requests += 1;
    if (this.requests > MAX_REQUESTS) {
      send(res, { status: 403, body: '"more requests than a test needs"' });
      return;
    }
    const use = this.#count();
    const headers = this.#vendor.limitHeaders(use);
    if (use.used > use.requests) {
      this.refusals += 1;
      const waitMs = use.resetsAtMs - Date.now();
      if (use.used === use.requests + 1) this.roundedUpMs += Math.ceil(waitMs / SECOND_MS) * SECOND_MS - waitMs;
      send(res, this.#vendor.refusal(waitMs), headers);
      return;
    }
    const window = this.windows.at(-1);
    if (window !== undefined) window.granted += 1;
    const fault = this.#options.fault?.(this.requests);
    if (fault === 'reset') {
      req.socket.resetAndDestroy();
    } else if (fault === 'error-500') {
      send(res, { status: 500, body: '' }, headers);
    } else if (fault === 'html-502') {
      const html = '<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>';
      send(res, { status: 502, headers: { 'content-type': 'text/html' }, body: html });
    } else if (fault === 'refused') {
      this.refusals += 1;
      send(res, this.#vendor.refusal(1_000), headers);
    } else {
      const url = new URL(req.url ?? '/', this.origin);
      const isStale = fault === 'stale-cursor';
      const asked = { method: req.method ?? 'GET', url, headers: req.headers, body, number: this.requests, isStale };
      send(res, this.#vendor.answer(asked, this.#options.linksTo ?? this.origin), headers, fault === 'truncated');
    }
  }

  #count(): WindowUse {
    const { limit } = this.#options;
    if (limit === undefined) return { requests: Number.MAX_SAFE_INTEGER, used: 0, resetsAtMs: Date.now() };
    const nowMs = Date.now();
    if (nowMs >= (this.windows.at(-1)?.startedAtMs ?? -Infinity) + limit.windowMs) {
      const partMs = limit.windowMs > SECOND_MS ? nowMs % SECOND_MS : 0;
      this.windows.push({ startedAtMs: nowMs - partMs, granted: 0 });
      this.#used = 0;
    }
    this.#used += 1;
    const resetsAtMs = (this.windows.at(-1)?.startedAtMs ?? nowMs) + limit.windowMs;
    return { requests: limit.requests, used: this.#used, resetsAtMs };
  }
}

function send(
  res: ServerResponse,
  { status = 200, headers = {}, body }: VendorAnswer,
  limits: Readonly<Record<string, string>> = {},
  isTruncated = false,
): void {
  const bytes = Buffer.from(body);
  res.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    ...limits,
    ...headers,
  });
  if (!isTruncated) {
    res.end(bytes);
    return;
  }
  res.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => res.destroy());
}

/** Whole seconds, as `Retry-After` wants them: never too few. */
export function retryAfter(waitMs: number): string {
  return String(Math.max(1, Math.ceil(waitMs / 1_000)));
}

/** A number as its digits stand in the body, whatever an eight-byte float would make of them. */
export class Digits {
  readonly text: string;
  constructor(digits: string) {
    this.text = digits;
  }
}

export type Json = null | boolean | number | string | Digits | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** @param quote how a text is written: default as `JSON.stringify` does */
export function jsonText(value: Json, quote: (text: string) => string = JSON.stringify): string {
  if (typeof value === 'string') return quote(value);
  if (value instanceof Digits) return value.text;
  if (value === null || typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map((item) => jsonText(item, quote)).join(',')}]`;
  const members = Object.entries(value).map(([key, member]) => `${quote(key)}:${jsonText(member, quote)}`);
  return `{${members.join(',')}}`;
}

// Array.isArray narrows a readonly list to any[].
function isList(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value);
}

/** The values of records: the same ones for the same seed. */
export class Draws extends Dice {
  /** Lower-case hexadecimal digits. */
  hex(length: number): string {
    return Array.from({ length }, () => this.below(16).toString(16)).join('');
  }

  uuid(): string {
    return `${this.hex(8)}-${this.hex(4)}-4${this.hex(3)}-a${this.hex(3)}-${this.hex(12)}`;
  }

  /** What people write: every script, controls, quotes, nothing at all. */
  words(): string {
    return Array.from({ length: this.below(6) }, () => this.pick(WORDS)).join(' ');
  }
}

const WORDS: readonly string[] = [
  'refund',
  'naïve café',
  'zażółć gęślą',
  '日本語のテキスト',
  'مرحبا بالعالم',
  '🙂',
  '👩‍👩‍👧‍👦',
  'e\u0301',
  'line\nbreak',
  'tab\there',
  '"quoted"',
  'back\\slash',
  '</script>',
  "it's; DROP TABLE x; --",
  '\u2028',
  '\u007f',
  'null',
  '1e5',
];
