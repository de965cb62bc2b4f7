/**
 * Inside a string or outside: told for a place in the middle of JSON text, without reading it from its beginning. Pure.
 *
 * From a quote nearby that is no escaped one there are two readings: it opens a string, or it closes one. Under the wrong
 * one, what strings hold would be structure, and structure is strict: the wrong reading fails within a few words. Only a
 * place where exactly one reading stands is told.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
/** `"\/bfnrtu` */
const ESCAPABLE = new Set([0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74, 0x75]);
const LITERALS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]));

/** What stood before: a value's end, an opening bracket, a comma or colon, or nobody knows. */
type Before = 'value' | 'opening' | 'separator' | 'unknown';

export interface StringState {
  readonly inside: boolean;
  readonly before: Before;
}

/** A reading begins so far before the place, at least, so that there is text for the wrong one to fail on. */
const CONTEXT_BEFORE_BYTES = 64;
const CONTEXT_AFTER_BYTES = 512;
const MAX_QUOTES_TRIED = 32;

/**
 * State at `at`, when `bytes` is JSON text, whole or cut behind `at`.
 * @param known a place before `at`, outside of all strings
 * @returns `null` when both readings stand, or none
 */
export function findStringState(bytes: Buffer, at: number, known: number): StringState | null {
  const anchor = findQuote(bytes, at - CONTEXT_BEFORE_BYTES, known);
  if (anchor === -1) return readOn(bytes, known, at, { inside: false, before: 'unknown' });
  const opened = readOn(bytes, anchor + 1, at, { inside: true, before: 'separator' });
  const closed = readOn(bytes, anchor + 1, at, { inside: false, before: 'value' });
  if (opened === null || closed === null) return opened ?? closed;
  const end = Math.min(bytes.length, at + CONTEXT_AFTER_BYTES);
  const openedStands = readOn(bytes, at, end, opened) !== null;
  const closedStands = readOn(bytes, at, end, closed) !== null;
  if (openedStands === closedStands) return null;
  return openedStands ? opened : closed;
}

/** Last quote before `from` with no backslash before it; -1 when there is none after `known`, or not near. */
function findQuote(bytes: Buffer, from: number, known: number): number {
  let at = from;
  for (let tried = 0; tried < MAX_QUOTES_TRIED && at > known; tried += 1) {
    at = bytes.lastIndexOf(QUOTE, at);
    if (at <= known) return -1;
    if (bytes[at - 1] !== BACKSLASH) return at;
    at -= 1;
  }
  return -1;
}

/** Reads from `from` up to `until`; `null` when the text cannot go on like this. */
export function readOn(bytes: Buffer, from: number, until: number, state: StringState): StringState | null {
  let { inside, before } = state;
  let at = from;
  while (at < until) {
    const byte = bytes[at] ?? 0;
    if (inside) {
      if (byte === QUOTE) {
        inside = false;
        before = 'value';
      } else if (byte === BACKSLASH) {
        at += 1;
        if (at < bytes.length && !ESCAPABLE.has(bytes[at] ?? 0)) return null;
      } else if (byte < 0x20) {
        return null;
      }
      at += 1;
      continue;
    }
    switch (byte) {
      case 0x20:
      case 0x0a:
      case 0x0d:
      case 0x09:
        break;
      case QUOTE:
        if (before === 'value') return null;
        inside = true;
        break;
      case 0x2c: // ,
      case 0x3a: // :
        if (before === 'separator' || before === 'opening') return null;
        before = 'separator';
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (before === 'value') return null;
        before = 'opening';
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (before === 'separator') return null;
        before = 'value';
        break;
      default: {
        if (before === 'value') return null;
        const end = skipScalar(bytes, at, byte);
        if (end === -1) return null;
        before = 'value';
        at = end - 1;
      }
    }
    at += 1;
  }
  return { inside, before };
}

/** End of the number or literal at `at`; -1 when there is none. */
function skipScalar(bytes: Buffer, at: number, first: number): number {
  const literal = LITERALS.get(first);
  if (literal !== undefined) {
    const end = at + literal.length;
    return bytes.subarray(at, end).equals(literal.subarray(0, bytes.length - at)) ? end : -1;
  }
  if (first !== MINUS && !isDigit(first)) return -1;
  let end = at + 1;
  while (end < bytes.length && isNumberByte(bytes[end] ?? 0)) end += 1;
  return end;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isNumberByte(byte: number): boolean {
  // + - . E e
  return isDigit(byte) || byte === 0x2b || byte === MINUS || byte === 0x2e || byte === 0x45 || byte === 0x65;
}
