import { CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** Whether an object anywhere in the JSON text `bytes[start, end)`, which has been read before, has a key twice. */
export function hasDoubledKey(cursor: JsonCursor, start: number, end: number): boolean {
  const { bytes } = cursor;
  /** Keys of each open object, `null` for a list. */
  const open: (Set<string> | null)[] = [];
  let isKey = false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      open.push(byte === OPEN_BRACE ? new Set() : null);
      isKey = byte === OPEN_BRACE;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      open.pop();
      isKey = false;
    } else if (byte === COMMA) {
      isKey = open.at(-1) instanceof Set;
    } else if (byte === QUOTE) {
      const textEnd = cursor.endOfString(at + 1);
      const keys = open.at(-1);
      if (isKey && keys instanceof Set) {
        const key = decodeToString(bytes, at + 1, textEnd);
        if (keys.has(key)) return true;
        keys.add(key);
      }
      isKey = false;
      at = textEnd;
    }
  }
  return false;
}
