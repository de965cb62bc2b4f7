import type { EventSlices } from '../scan/event-slices.ts';
import { KIND } from '../scan/fields.ts';
import { CLOSE_BRACE, CLOSE_BRACKET, COLON, OPEN_BRACE, OPEN_BRACKET, QUOTE } from '../scan/json-bytes.ts';
import { JsonCursor } from '../scan/json-cursor.ts';
import { decodeToString } from '../scan/json-strings.ts';

/**
 * Where an event has a key twice in one object: a jsonb column, or `event`; `null`: nowhere. PostgreSQL keeps its last value,
 * as the columns do.
 */
export function fieldOfDoubledKey(body: Uint8Array, slices: EventSlices): string | null {
  const cursor = new JsonCursor(body);
  cursor.takesControls = true;
  for (const { name, type, canonical } of slices.plan.columns) {
    const { kind, start, end } = slices.of(canonical);
    if (type === 'jsonb' && kind === KIND.object && hasDoubledKey(cursor, start, end)) return name;
  }
  return hasDoubledKey(cursor, slices.start, slices.end) ? 'event' : null;
}

/** Whether an object anywhere in JSON text that was read before has a key twice. */
function hasDoubledKey(cursor: JsonCursor, start: number, end: number): boolean {
  const { bytes } = cursor;
  /** Of each open object and list. */
  const keys: Set<string>[] = [];
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) keys.push(new Set());
    if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) keys.pop();
    if (byte !== QUOTE) continue;
    const textEnd = cursor.endOfString(at + 1);
    if (bytes[cursor.skipSpace(textEnd + 1)] === COLON) {
      const key = decodeToString(bytes, at + 1, textEnd);
      if (keys.at(-1)?.has(key) === true) return true;
      keys.at(-1)?.add(key);
    }
    at = textEnd;
  }
  return false;
}
