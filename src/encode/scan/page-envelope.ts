import type { PageEnvelope } from '../../core/encoded-page.ts';

/** A longer value is ignored: no cursor, count or error text comes near, and each value is parsed with JSON.parse. */
const MAX_VALUE_BYTES = 1024 * 1024;
const MAX_ERROR_TEXT_CHARACTERS = 300;

const NUMERIC_CURSOR = /"next_?cursor"\s*:\s*(-?[\d.eE+-]+)/i;
/** Codes that say that all is well. */
const WELL_CODES = new Set(['0', '200', 'OK', 'SUCCESS']);
/** Flags as text, in lower case. */
const YES = new Set(['true', '1', 'yes', 'y']);
const NO = new Set(['false', '0', 'no', 'n']);

const DECODER = new TextDecoder();

const ENVELOPE_KEYS = new Set([
  ...['pagination', 'meta'],
  ...['hasMore', 'has_more', 'nextCursor', 'next_cursor', 'total', 'returned', 'cursorExpiresIn', 'cursor_expires_in'],
  ...['error', 'errors', 'code', 'message', 'success', 'ok', 'status', 'statusCode', 'status_code'],
  ...['partial', 'incomplete', 'timedOut', 'timed_out'],
]);

/** A member of the page itself, its value being the JSON text `bytes[start, end)`. */
export interface PageMember {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** Of a page whose words are not read here. */
export const SAYS_NOTHING: PageEnvelope = {
  hasMore: null,
  nextCursor: null,
  total: null,
  returned: null,
  cursorLifeMs: null,
  saysNoCursor: false,
  speaksOfError: false,
};

type Place = Readonly<Record<string, unknown>>;

/** Whether a member of the page's top level says something about the page. */
export function isEnvelopeKey(key: string): boolean {
  return ENVELOPE_KEYS.has(key);
}

/**
 * What a page says about itself outside its events. Known shapes: `pagination: { hasMore, nextCursor }`,
 * `meta: { total }`, and the same names at the top, each also in snake_case.
 */
export class EnvelopeReader {
  readonly #texts = new Map<string, string>();
  readonly #top: Record<string, unknown> = {};

  /** @param members of the page's top level. The last of doubled keys counts */
  constructor(body: Uint8Array, members: readonly PageMember[]) {
    for (const { key, start, end } of members) {
      if (!isEnvelopeKey(key)) continue;
      const text = end - start > MAX_VALUE_BYTES ? 'null' : DECODER.decode(body.subarray(start, end));
      this.#texts.set(key, text);
      this.#top[key] = JSON.parse(text);
    }
  }

  read(): PageEnvelope {
    const pagination = recordOf(this.#top['pagination']);
    const meta = recordOf(this.#top['meta']);
    const places = [pagination, this.#top, meta];
    return {
      hasMore: firstOf(places, ['hasMore', 'has_more'], asFlag),
      nextCursor: firstOf(places, ['nextCursor', 'next_cursor'], (value) => this.#cursorOf(value)),
      total: firstOf([meta, pagination, this.#top], ['total'], asCount),
      returned: firstOf([meta, pagination, this.#top], ['returned'], asCount),
      cursorLifeMs: firstOf(places, ['cursorExpiresIn', 'cursor_expires_in'], asMilliseconds),
      saysNoCursor: places.some(({ nextCursor, next_cursor: snakeCursor }) =>
        [nextCursor, snakeCursor].some((cursor) => cursor === null || cursor === ''),
      ),
      speaksOfError: this.#speaksOfError(),
    };
  }

  /** A number is sent back as it was written: a double would change its last digits. */
  #cursorOf(value: unknown): string | null {
    if (typeof value === 'string') return value === '' ? null : value;
    if (typeof value !== 'number') return null;
    if (Number.isSafeInteger(value)) return String(value);
    const texts = [...this.#texts].map(([key, text]) => `"${key}":${text}`);
    return texts.map((text) => NUMERIC_CURSOR.exec(text)?.[1]).find((written) => Number(written) === value) ?? null;
  }

  /** Words of a failure that do not make a page none, but make its end doubtful. */
  #speaksOfError(): boolean {
    const { success, ok, status, statusCode, status_code: snakeStatus, code } = this.#top;
    if ([success, ok].some((flag) => asFlag(flag) === false)) return true;
    const { partial, incomplete, timedOut, timed_out: snakeTimedOut, error, errors } = this.#top;
    if ([partial, incomplete, timedOut, snakeTimedOut].some((flag) => asFlag(flag) === true)) return true;
    if (isPresent(error) || isPresent(errors)) return true;
    if ([status, statusCode, snakeStatus].some(isErrorStatus)) return true;
    // Beside its own word that all is well, a number is a code of well: 1, 10000.
    if ([success, ok].some((flag) => asFlag(flag) === true) && isNumberOfWell(code)) return false;
    return isPresent(code) && !WELL_CODES.has(String(code).toUpperCase());
  }

  /**
   * True if the page says that something failed. A bare `{"code":"CURSOR_EXPIRED","message":"…"}` says so only where
   * there are no events: beside events, `code` may be a status that says all is well.
   */
  hasError(hasEvents: boolean): boolean {
    const keys = hasEvents ? ['error', 'errors'] : ['error', 'errors', 'code', 'message'];
    return keys.some((key) => isPresent(this.#top[key]));
  }

  /** The API's own error code, if it gave one. */
  apiCode(): string | null {
    for (const code of [this.#top['code'], recordOf(this.#top['error'])['code']]) {
      if (typeof code === 'string' && code !== '') return code.slice(0, MAX_ERROR_TEXT_CHARACTERS);
      if (typeof code === 'number') return String(code);
    }
    return null;
  }

  /** One line for the log, in the API's own words. */
  errorText(): string {
    const parts = ['code', 'error', 'errors', 'message']
      .filter((key) => this.#texts.has(key))
      .map((key) => `${key} ${this.#texts.get(key)?.replaceAll(/\s+/g, ' ') ?? ''}`);
    return Array.from(parts.join(', ')).slice(0, MAX_ERROR_TEXT_CHARACTERS).join('');
  }
}

function isErrorStatus(value: unknown): boolean {
  if (typeof value === 'string' && /^(err|fail)/i.test(value)) return true;
  return (typeof value === 'number' || typeof value === 'string') && Number(value) >= 400;
}

/** Not a status of HTTP that says that something failed. */
function isNumberOfWell(code: unknown): boolean {
  return typeof code === 'number' && (code < 400 || code > 599);
}

function isPresent(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== false && value !== '' && value !== 0;
}

function recordOf(value: unknown): Place {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function firstOf<T>(places: readonly Place[], names: readonly string[], read: (value: unknown) => T | null): T | null {
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
  if (YES.has(text)) return true;
  return NO.has(text) ? false : null;
}

function asCount(value: unknown): number | null {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : null;
}

function asMilliseconds(seconds: unknown): number | null {
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : null;
}
