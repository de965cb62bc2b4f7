import { CLOSE_BRACE, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** A member of the page itself, its value being the JSON text `bytes[start, end)`. */
export interface PageMember {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** Keys of the events. A key of a higher rank takes over from one of a lower, a list with events from an empty one. */
const EVENTS_RANK: ReadonlyMap<string, number> = new Map([
  ['data', 2],
  ['events', 1],
]);

/** Rank of a key of the events, 0 for any other. */
export function rankOf(key: string): number {
  return EVENTS_RANK.get(key) ?? 0;
}

/**
 * The next member of an object, from behind its opening brace or behind a value: the key, and where its value starts. The
 * key is `null` where the object ends; then `at` is behind its brace. A page has few members of its own, so this may be slow.
 */
export function nextMember(
  cursor: JsonCursor,
  from: number,
  isFirst: boolean,
): { readonly key: string | null; readonly at: number } {
  const { bytes } = cursor;
  let at = cursor.skipSpace(from);
  if (bytes[at] === CLOSE_BRACE) return { key: null, at: at + 1 };
  if (!isFirst) {
    if (bytes[at] !== COMMA) cursor.fail(at, 'a comma or }');
    at = cursor.skipSpace(at + 1);
  }
  if (bytes[at] !== QUOTE) cursor.fail(at, 'a key');
  const keyEnd = cursor.endOfString(at + 1);
  return { key: decodeToString(bytes, at + 1, keyEnd), at: cursor.startAfterColon(keyEnd + 1) };
}

/**
 * Reads what follows the list of events, from behind its closing bracket to the end of the body.
 * @param depth objects that are open around the list
 */
export function readMembersBehind(cursor: JsonCursor, from: number, depth: number): PageMember[] {
  const members: PageMember[] = [];
  let at = from;
  for (let open = depth; open > 0; open -= 1) {
    let next = nextMember(cursor, at, false);
    while (next.key !== null) {
      const { key, at: start } = next;
      if (rankOf(key) > 0) cursor.fail(start, 'one list of events');
      const end = cursor.endOfValue(start, 0);
      members.push({ key, start, end });
      next = nextMember(cursor, end, false);
    }
    at = next.at;
  }
  const end = cursor.skipSpace(at);
  if (end !== cursor.bytes.length) cursor.fail(end, 'the end of the body');
  return members;
}

export function isContainer(first: number | undefined): boolean {
  return first === OPEN_BRACE || first === OPEN_BRACKET;
}
