/**
 * Where events can begin, told by a few bytes alone: `},{"` or `},{}`, white space or more commas between them. Between two events that
 * are not damaged there is always such a border. Inside an event there can be one, too (in a list of objects): what a
 * border is worth, the reading of all that follows must show.
 */
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  endOfSpace,
  isSpace,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-bytes.ts';

/** What lies between two borders, or between a border and the end of the list, without the comma that parts it from the next. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** Offset of the opening brace of the next border at or after `from`, before `end`; -1 if there is none. */
export function nextBorder(bytes: Uint8Array, from: number, end: number): number {
  return nextObject(bytes, from, end, (behindSpace) => {
    const isBehindComma = bytes[behindSpace - 1] === COMMA;
    return isBehindComma && bytes[endBefore(bytes, behindSpace, isCommaOrSpace) - 1] === CLOSE_BRACE;
  });
}

/** Whether two events may stand in a piece, because the border between them is damaged: `,{"` or `}{"` is all that is left of it. */
export function mayHideBorder(bytes: Uint8Array, { start, end }: Piece): boolean {
  const at = nextObject(bytes, start + 1, end, (behindSpace) => {
    const before = bytes[behindSpace - 1];
    return before === COMMA || before === CLOSE_BRACE;
  });
  return at !== -1;
}

/** Whether a list of objects begins in a piece: the border behind it may be one of that list. */
export function mayOpenList(bytes: Uint8Array, { start, end }: Piece): boolean {
  return nextObject(bytes, start + 1, end, (behindSpace) => bytes[behindSpace - 1] === OPEN_BRACKET) !== -1;
}

function nextObject(bytes: Uint8Array, from: number, end: number, isRight: (behindSpace: number) => boolean): number {
  for (let at = bytes.indexOf(OPEN_BRACE, from); at !== -1 && at < end; at = bytes.indexOf(OPEN_BRACE, at + 1)) {
    if (beginsObject(bytes, at) && isRight(endBeforeSpace(bytes, at))) return at;
  }
  return -1;
}

/** Whether an object can begin here. */
export function beginsObject(bytes: Uint8Array, at: number): boolean {
  const next = bytes[endOfSpace(bytes, at + 1)];
  return bytes[at] === OPEN_BRACE && (next === QUOTE || next === CLOSE_BRACE);
}

/** Whether two objects have the same first key, as the events of a page have. */
export function beginAlike(bytes: Uint8Array, one: Piece, another: Piece | undefined): boolean {
  if (another === undefined) return false;
  return Buffer.compare(firstKeyOf(bytes, one.start), firstKeyOf(bytes, another.start)) === 0;
}

/** The first key of the object that begins here, with its opening quote. */
function firstKeyOf(bytes: Uint8Array, at: number): Uint8Array {
  const quote = endOfSpace(bytes, at + 1);
  return bytes.subarray(quote, bytes.indexOf(QUOTE, quote + 1));
}

/**
 * Divides `bytes[start, end)`, which begins with an event, at all of its borders. More than `most` are not looked for.
 * @param isListEnd it ends at the end of the list, rather than at a border
 */
export function piecesOf(bytes: Uint8Array, start: number, end: number, isListEnd: boolean, most: number): Piece[] {
  const pieces: Piece[] = [];
  let at = start;
  while (pieces.length <= most) {
    const border = nextBorder(bytes, at + 1, end);
    const isLast = border === -1;
    const to = endBeforeSpace(bytes, isLast ? end : border);
    pieces.push({ start: at, end: isLast && isListEnd ? to : endBeforeSpace(bytes, to - 1) });
    if (isLast) break;
    at = border;
  }
  return pieces;
}

/** What stands in JSON outside of strings, and in the words that some programs write into it: NaN, undefined, 1_000. */
const OUTSIDE_OF_STRINGS = /^[\w+\-.,: \t\r\n]$/;

/** Whether a piece is one object by its quotes, braces and brackets, whatever its values are. */
export function isOneObject(bytes: Uint8Array, { start, end }: Piece): boolean {
  const open: number[] = [];
  let inString = false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      open.push(byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET);
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (open.pop() !== byte || (open.length === 0 && at !== end - 1)) return false;
    } else if (!OUTSIDE_OF_STRINGS.test(String.fromCharCode(byte))) {
      return false;
    }
  }
  return bytes[start] === OPEN_BRACE && open.length === 0 && !inString;
}

/**
 * Whether the elements of a list are its events where nobody says how many there are. Damage that makes one event look like two
 * leaves a quote or a bracket too many on one side of the border, unless it brings the beginning of an event itself.
 */
export function areSurelyEvents(
  bytes: Uint8Array,
  all: readonly (Piece & { readonly reason: string | null })[],
): boolean {
  const isWhole = (one: Piece): boolean => !mayHideBorder(bytes, one) && isOneObject(bytes, one);
  return all.every((one) => beginAlike(bytes, one, all[0]) && (one.reason !== 'not-json' || isWhole(one)));
}

/** Whether there is nothing but commas and white space. */
export function isOnlyCommas(bytes: Uint8Array, start: number, end: number): boolean {
  return endBefore(bytes, end, isCommaOrSpace) <= start;
}

/** Offset after the last byte before `end` that is not white space. */
export function endBeforeSpace(bytes: Uint8Array, end: number): number {
  return endBefore(bytes, end, isSpace);
}

function endBefore(bytes: Uint8Array, end: number, isPassedOver: (byte: number) => boolean): number {
  let at = end;
  while (at > 0 && isPassedOver(bytes[at - 1] ?? 0)) at -= 1;
  return at;
}

function isCommaOrSpace(byte: number): boolean {
  return byte === COMMA || isSpace(byte);
}
