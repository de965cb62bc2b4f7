/**
 * Raw page → what it says about itself, without parsing its events. Pure; a page of 1.7 MB costs two native byte
 * searches and the parsing of a few hundred bytes.
 *
 * The envelope is what remains of the body when its events array is taken out:
 *
 *   {"pagination":{…},"data":[ …1.7 MB… ],"meta":{…}}
 *   └────── head ──────────┘             └── rest ──┘      JSON.parse(head + '[]' + rest)
 *
 * so all that must be found is the `]` that closes the array. Brackets are found by native search; each is counted when
 * it stands outside of strings, which json-string-state.ts tells from the text around it; where the count is even, the array
 * ends. What is read then holds for a body that is cut, too: its array has no end. Whatever is not certain, and pages whose
 * events are full of arrays, are `null`, and the worker, which reads every byte, tells.
 */
import type { PageEnvelope } from '../core/encoded-page.ts';
import { findStringState, readOn, type StringState } from './json-string-state.ts';

export interface PageTail {
  readonly envelope: PageEnvelope;
  /** Life of the next cursor as the API says it, ms from its arrival; `null` when it does not. */
  readonly cursorLifeMs: number | null;
}

/** Most bytes of head, and of rest: an envelope has a few hundred. */
const MAX_ENVELOPE_BYTES = 65_536;
/** Brackets that are looked at: about a microsecond each. */
const MAX_BRACKETS = 1_024;
/** A bracket so near behind the last one is reached by reading on from there. */
const NEAR_BYTES = 1_024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * @param body the uncompressed page; not kept, not changed
 * @returns `null` when it cannot be told for certain, or when the body is no page
 */
export function readPageTail(body: Uint8Array): PageTail | null {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const open = findEventsArray(bytes);
  if (open === -1) return null;
  const close = findArrayEnd(bytes, open);
  if (close === -1) return null;
  return readEnvelope(bytes, open, close);
}

/** First byte of the body that is not white space, -1 for none. */
export function firstByte(body: Uint8Array): number {
  for (const byte of body) if (!isSpace(byte)) return byte;
  return -1;
}

/** Last byte of the body that is not white space, -1 for none. */
export function lastByte(body: Uint8Array): number {
  for (let at = body.length - 1; at >= 0; at -= 1) {
    const byte = body[at] ?? 0;
    if (!isSpace(byte)) return byte;
  }
  return -1;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function skipSpaces(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && isSpace(bytes[at] ?? 0)) at += 1;
  return at;
}

/** Position behind the string whose opening quote is at `from`; -1 when it does not end before `limit`. */
function skipString(bytes: Uint8Array, from: number, limit: number): number {
  for (let at = from + 1; at < limit; at += 1) {
    const byte = bytes[at];
    if (byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) return at + 1;
  }
  return -1;
}

/** Position of the `[` of the first member `data` or `events` of the root object that is an array; -1 if not near. */
function findEventsArray(bytes: Buffer): number {
  const limit = Math.min(bytes.length, MAX_ENVELOPE_BYTES);
  let at = skipSpaces(bytes, 0);
  if (bytes[at] !== OPEN_BRACE) return -1;
  at += 1;
  let depth = 1;
  let keyExpected = true;
  while (at < limit) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      const end = skipString(bytes, at, limit);
      if (end === -1) return -1;
      if (depth === 1 && keyExpected && isEventsKey(bytes, at, end)) {
        const value = skipSpaces(bytes, skipSpaces(bytes, end) + 1);
        if (bytes[value] === OPEN_BRACKET) return value;
      }
      keyExpected = false;
      at = end;
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
    else if (byte === COMMA && depth === 1) keyExpected = true;
    if (depth === 0) return -1;
    at += 1;
  }
  return -1;
}

/** Whether the string between the quotes at `from` and `end - 1` is `data` or `events`, and a colon follows. */
function isEventsKey(bytes: Buffer, from: number, end: number): boolean {
  const key = bytes.toString('latin1', from + 1, end - 1);
  return (key === 'data' || key === 'events') && bytes[skipSpaces(bytes, end)] === COLON;
}

/** Position of the `]` that closes the array opened at `open`; -1 when that is not certain. */
function findArrayEnd(bytes: Buffer, open: number): number {
  let depth = 1;
  let last = open;
  let state: StringState = { inside: false, before: 'opening' };
  let opening = bytes.indexOf(OPEN_BRACKET, open + 1);
  let closing = bytes.indexOf(CLOSE_BRACKET, open + 1);
  for (let count = 0; count < MAX_BRACKETS && closing !== -1; count += 1) {
    const opens = opening !== -1 && opening < closing;
    const at = opens ? opening : closing;
    const near = at - last <= NEAR_BYTES;
    const found: StringState | null = near ? readOn(bytes, last + 1, at, state) : findStringState(bytes, at, open);
    if (found === null) return -1;
    if (!found.inside) {
      depth += opens ? 1 : -1;
      if (depth === 0) return at;
    }
    state = found.inside ? found : { inside: false, before: opens ? 'opening' : 'value' };
    last = at;
    if (opens) opening = bytes.indexOf(OPEN_BRACKET, at + 1);
    else closing = bytes.indexOf(CLOSE_BRACKET, at + 1);
  }
  return -1;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readEnvelope(bytes: Buffer, open: number, close: number): PageTail | null {
  let parsed: unknown;
  try {
    // Fails, too, when the text behind `close` does not end with the body.
    parsed = JSON.parse(`${utf8.decode(bytes.subarray(0, open))}[]${utf8.decode(bytes.subarray(close + 1))}`);
  } catch {
    return null;
  }
  return isObject(parsed) ? interpretEnvelope(parsed) : null;
}

/**
 * The two shapes of the contract, keys in camelCase or snake_case, flags as booleans, texts or numbers.
 * @param page the parsed page; its events are not looked at
 * @returns `null` when two places contradict each other, or a value is of no known kind
 */
export function interpretEnvelope(page: Readonly<Record<string, unknown>>): PageTail | null {
  const pagination = isObject(page['pagination']) ? page['pagination'] : {};
  const meta = isObject(page['meta']) ? page['meta'] : {};
  // A page that says that something failed is the worker's to judge.
  if (valuesOf([page], ['error', 'errors']).some(isPresent)) return null;
  const holders = [pagination, page, meta];
  const flags = new Set(valuesOf(holders, ['hasMore', 'has_more']).map(readFlag));
  const cursors = new Set(valuesOf(holders, ['nextCursor', 'next_cursor']).map(readCursor));
  const totals = new Set(valuesOf(holders, ['total']).map(readTotal));
  if (flags.size > 1 || cursors.size > 1 || totals.size > 1) return null;
  const [hasMore = null] = flags;
  const [nextCursor = null] = cursors;
  const [total = null] = totals;
  if (hasMore === 'odd' || nextCursor === ODD_CURSOR) return null;
  const [lifeSeconds] = valuesOf([pagination, page], ['cursorExpiresIn', 'cursor_expires_in']);
  const cursorLifeMs = typeof lifeSeconds === 'number' && lifeSeconds > 0 ? lifeSeconds * 1000 : null;
  return { envelope: { hasMore, nextCursor, total }, cursorLifeMs };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Values under any of the names, in any of the objects, absent ones left out. */
function valuesOf(holders: readonly Readonly<Record<string, unknown>>[], names: readonly string[]): unknown[] {
  const found: unknown[] = [];
  for (const holder of holders) {
    for (const name of names) if (Object.hasOwn(holder, name)) found.push(holder[name]);
  }
  return found;
}

function readFlag(value: unknown): boolean | null | 'odd' {
  if (typeof value === 'boolean' || value === null) return value;
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return 'odd';
  const text = value.trim().toLowerCase();
  if (text === 'true' || text === '1') return true;
  return text === 'false' || text === '0' ? false : 'odd';
}

const ODD_CURSOR = Symbol('a cursor that is no text');

function readCursor(value: unknown): string | null | typeof ODD_CURSOR {
  if (value === null || value === '') return null;
  return typeof value === 'string' ? value : ODD_CURSOR;
}

function isPresent(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== null && value !== false && value !== '' && value !== 0;
}

function readTotal(told: unknown): number | null {
  const value = typeof told === 'string' && /^\d+$/.test(told) ? Number(told) : told;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
