import type { PageEnvelope } from '../../core/encoded-page.ts';

/**
 * Above this an envelope value is not one: no cursor, count or error text is that long, and they are parsed with
 * JSON.parse.
 */
const MAX_ENVELOPE_VALUE_BYTES = 1024 * 1024;
const MAX_ERROR_TEXT_CHARACTERS = 300;

const DECODER = new TextDecoder();

type JsonObject = Readonly<Record<string, unknown>>;

const ENVELOPE_KEYS = new Set([
  'pagination',
  'meta',
  'hasMore',
  'has_more',
  'nextCursor',
  'next_cursor',
  'total',
  'cursorExpiresIn',
  'cursor_expires_in',
  'error',
  'errors',
  'code',
  'message',
]);

/**
 * What a page says about itself outside its events: noted as byte ranges during the scan, read when the page is known
 * to be JSON. Known shapes: `pagination: { hasMore, nextCursor }`, `meta: { total }`, and the same names at the top,
 * each also in snake_case.
 */
export class EnvelopeSlices {
  readonly #body: Uint8Array;
  readonly #ranges = new Map<string, { readonly start: number; readonly end: number }>();

  constructor(body: Uint8Array) {
    this.#body = body;
  }

  /** A member of the page's top level; of a doubled key the last one counts. */
  note(key: string, start: number, end: number): void {
    if (ENVELOPE_KEYS.has(key)) this.#ranges.set(key, { start, end });
  }

  read(): PageEnvelope {
    const pagination = asObject(this.#value('pagination'));
    const meta = asObject(this.#value('meta'));
    const places = [pagination, this.#topLevel(), meta];
    return {
      hasMore: firstOf(places, ['hasMore', 'has_more'], asFlag),
      nextCursor: firstOf(places, ['nextCursor', 'next_cursor'], asCursor),
      total: firstOf([meta, pagination, this.#topLevel()], ['total'], asCount),
      cursorLifeMs: firstOf(places, ['cursorExpiresIn', 'cursor_expires_in'], asSeconds),
    };
  }

  /**
   * Whether the page says that something failed. A bare `{"code":"CURSOR_EXPIRED","message":"…"}` says so only where
   * there are no events: beside them, a `code` may as well be a status that all is well.
   */
  hasError(hasEvents: boolean): boolean {
    const keys = hasEvents ? ['error', 'errors'] : ['error', 'errors', 'code', 'message'];
    return keys.some((key) => isPresent(this.#value(key)));
  }

  /** The API's own error code, if it gave one. */
  apiCode(): string | null {
    const nested = asObject(this.#value('error'));
    for (const code of [this.#value('code'), nested['code']]) {
      if (typeof code === 'string' && code !== '') return code.slice(0, MAX_ERROR_TEXT_CHARACTERS);
      if (typeof code === 'number') return String(code);
    }
    return null;
  }

  /** One line for the log, in the API's own words. */
  errorText(): string {
    const told = ['code', 'error', 'errors', 'message'].flatMap((key) => {
      const range = this.#ranges.get(key);
      if (range === undefined) return [];
      const end = Math.min(range.end, range.start + MAX_ERROR_TEXT_CHARACTERS * 4);
      return [`${key} ${DECODER.decode(this.#body.subarray(range.start, end)).replaceAll(/\s+/g, ' ')}`];
    });
    return Array.from(told.join(', ')).slice(0, MAX_ERROR_TEXT_CHARACTERS).join('');
  }

  #topLevel(): JsonObject {
    return Object.fromEntries([...this.#ranges.keys()].map((key) => [key, this.#value(key)]));
  }

  #value(key: string): unknown {
    const range = this.#ranges.get(key);
    if (range === undefined || range.end - range.start > MAX_ENVELOPE_VALUE_BYTES) return undefined;
    return JSON.parse(DECODER.decode(this.#body.subarray(range.start, range.end)));
  }
}

function isPresent(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== false && value !== '' && value !== 0;
}

function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function firstOf<T>(
  places: readonly JsonObject[],
  names: readonly string[],
  read: (value: unknown) => T | null,
): T | null {
  for (const place of places) {
    for (const name of names) {
      const value = read(place[name]);
      if (value !== null) return value;
    }
  }
  return null;
}

function asFlag(value: unknown): boolean | null {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return value !== 0;
  if (typeof value !== 'string') return null;
  const text = value.trim().toLowerCase();
  if (text === 'true' || text === '1') return true;
  return text === 'false' || text === '0' ? false : null;
}

function asCursor(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

function asCount(value: unknown): number | null {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : null;
}

function asSeconds(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value * 1000 : null;
}
