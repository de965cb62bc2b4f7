import { CLOSE_BRACE, COMMA, type JsonCursor, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';

/** Fields that have a column, each spelling of its own. The order inside a column's group is precedence. */
export const FIELD = {
  id: 0,
  eventId: 1,
  event_id: 2,
  sessionId: 3,
  userId: 4,
  type: 5,
  eventType: 6,
  name: 7,
  properties: 8,
  timestamp: 9,
  occurredAt: 10,
  occurred_at: 11,
  session: 12,
  sessionDotId: 13,
  deviceType: 14,
  browser: 15,
} as const;

export type Field = (typeof FIELD)[keyof typeof FIELD];
const FIELD_COUNT = 16;

/** What kind of value stands in a field. */
export const KIND = {
  absent: 0,
  text: 1,
  /** A string with at least one escape. */
  escapedText: 2,
  number: 3,
  object: 4,
  array: 5,
  boolean: 6,
  null: 7,
} as const;

const EVENT_FIELDS: readonly (readonly [string, Field])[] = [
  ['id', FIELD.id],
  ['eventId', FIELD.eventId],
  ['event_id', FIELD.event_id],
  ['sessionId', FIELD.sessionId],
  ['userId', FIELD.userId],
  ['type', FIELD.type],
  ['eventType', FIELD.eventType],
  ['name', FIELD.name],
  ['properties', FIELD.properties],
  ['timestamp', FIELD.timestamp],
  ['occurredAt', FIELD.occurredAt],
  ['occurred_at', FIELD.occurred_at],
  ['session', FIELD.session],
];

const SESSION_FIELDS: readonly (readonly [string, Field])[] = [
  ['id', FIELD.sessionDotId],
  ['deviceType', FIELD.deviceType],
  ['browser', FIELD.browser],
];

/** Known keys of one object, found by length first: no key has to be decoded to be told apart. */
class KnownKeys {
  readonly #byLength: { readonly bytes: Uint8Array; readonly field: Field }[][] = [];
  readonly #byName: ReadonlyMap<string, Field>;

  constructor(fields: readonly (readonly [string, Field])[]) {
    this.#byName = new Map(fields);
    const longest = Math.max(...fields.map(([name]) => name.length));
    for (let length = 0; length <= longest; length += 1) {
      this.#byLength.push(
        fields
          .filter(([name]) => name.length === length)
          .map(([name, field]) => ({ bytes: new TextEncoder().encode(name), field })),
      );
    }
  }

  /** The field of the key whose characters are `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number, escaped: boolean): Field | -1 {
    if (escaped) return this.#byName.get(decodeToString(bytes, start, end)) ?? -1;
    const length = end - start;
    if (length >= this.#byLength.length) return -1;
    const candidates = this.#byLength[length] ?? [];
    for (let c = 0; c < candidates.length; c += 1) {
      const candidate = candidates[c];
      if (candidate === undefined) continue;
      const name = candidate.bytes;
      let i = 0;
      while (i < length && bytes[start + i] === name[i]) i += 1;
      if (i === length) return candidate.field;
    }
    return -1;
  }
}

const EVENT_KEYS = new KnownKeys(EVENT_FIELDS);
const SESSION_KEYS = new KnownKeys(SESSION_FIELDS);

/** A growing list of members `"key": value`, as byte ranges. */
export class MemberList {
  count = 0;
  #ranges = new Int32Array(32);

  clear(): void {
    this.count = 0;
  }

  add(keyStart: number, end: number): void {
    if (this.count * 2 === this.#ranges.length) {
      const grown = new Int32Array(this.#ranges.length * 2);
      grown.set(this.#ranges);
      this.#ranges = grown;
    }
    this.#ranges[this.count * 2] = keyStart;
    this.#ranges[this.count * 2 + 1] = end;
    this.count += 1;
  }

  /** Offset of the opening quote of the key. */
  startOf(index: number): number {
    return this.#ranges[index * 2] ?? 0;
  }

  /** Offset after the value. */
  endOf(index: number): number {
    return this.#ranges[index * 2 + 1] ?? 0;
  }
}

/**
 * Where the fields of one event are, as byte ranges of the page. One instance is filled again for every event: nothing is allocated per event.
 * A string's range is its characters without the quotes; any other value's range is the value. Of a doubled key the last one counts.
 */
export class EventSlices {
  /** The whole event. */
  start = 0;
  end = 0;
  isObject = false;
  /** Something in it that PostgreSQL cannot hold as it is; see JsonCursor. */
  unstorable = false;
  /** Deepest nesting, the event's own braces counted. */
  depth = 0;
  readonly kinds = new Uint8Array(FIELD_COUNT);
  readonly starts = new Int32Array(FIELD_COUNT);
  readonly ends = new Int32Array(FIELD_COUNT);
  readonly keyStarts = new Int32Array(FIELD_COUNT);
  /** Members that have no column. */
  readonly others = new MemberList();
  readonly sessionOthers = new MemberList();

  kindOf(field: Field): number {
    return this.kinds[field] ?? KIND.absent;
  }

  startOf(field: Field): number {
    return this.starts[field] ?? 0;
  }

  endOf(field: Field): number {
    return this.ends[field] ?? 0;
  }

  /** Opening quote of the field's key. */
  memberStartOf(field: Field): number {
    return this.keyStarts[field] ?? 0;
  }

  /** Offset after the field's value, its closing quote included. */
  memberEndOf(field: Field): number {
    const kind = this.kindOf(field);
    return this.endOf(field) + (kind === KIND.text || kind === KIND.escapedText ? 1 : 0);
  }

  /** Reads the element of `data` at `at`; returns the offset after it. Throws NotJsonError. */
  read(cursor: JsonCursor, at: number): number {
    cursor.unstorable = false;
    cursor.deepest = 1;
    this.start = at;
    this.isObject = cursor.bytes[at] === OPEN_BRACE;
    if (this.isObject) {
      this.kinds.fill(KIND.absent);
      this.others.clear();
      this.sessionOthers.clear();
      this.end = this.#readMembers(cursor, at, EVENT_KEYS, this.others, 1);
    } else {
      this.end = cursor.endOfValue(at, 0);
    }
    this.unstorable = cursor.unstorable;
    this.depth = cursor.deepest;
    return this.end;
  }

  #readMembers(cursor: JsonCursor, open: number, known: KnownKeys, others: MemberList, depth: number): number {
    const bytes = cursor.bytes;
    let at = cursor.skipSpace(open + 1);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    for (;;) {
      if (bytes[at] !== QUOTE) cursor.fail(at, 'a key');
      const keyStart = at;
      const keyEnd = cursor.endOfString(at + 1);
      const field = known.find(bytes, keyStart + 1, keyEnd, cursor.escaped);
      at = cursor.startAfterColon(keyEnd + 1);
      if (field === -1) {
        at = cursor.endOfValue(at, depth);
        others.add(keyStart, at);
      } else {
        at = this.#readField(cursor, at, field, keyStart, depth);
      }
      let next = bytes[at] ?? 0;
      if (next <= 0x20) {
        at = cursor.skipSpace(at);
        next = bytes[at] ?? 0;
      }
      if (next === COMMA) {
        at += 1;
        if ((bytes[at] ?? 0) <= 0x20) at = cursor.skipSpace(at);
      } else if (next === CLOSE_BRACE) {
        return at + 1;
      } else {
        cursor.fail(at, 'a comma or }');
      }
    }
  }

  #readField(cursor: JsonCursor, at: number, field: Field, keyStart: number, depth: number): number {
    const first = cursor.bytes[at] ?? 0;
    this.keyStarts[field] = keyStart;
    if (first === QUOTE) {
      const end = cursor.endOfString(at + 1);
      this.kinds[field] = cursor.escaped ? KIND.escapedText : KIND.text;
      this.starts[field] = at + 1;
      this.ends[field] = end;
      return end + 1;
    }
    this.starts[field] = at;
    let end: number;
    if (field === FIELD.session && first === OPEN_BRACE) {
      this.#forgetSession();
      if (depth + 1 > cursor.deepest) cursor.deepest = depth + 1;
      end = this.#readMembers(cursor, at, SESSION_KEYS, this.sessionOthers, depth + 1);
    } else {
      end = cursor.endOfValue(at, depth);
    }
    this.kinds[field] = kindOfFirstByte(first);
    this.ends[field] = end;
    return end;
  }

  /** Of a doubled `session` only the last one counts, with nothing left of the first. */
  #forgetSession(): void {
    this.sessionOthers.clear();
    this.kinds[FIELD.sessionDotId] = KIND.absent;
    this.kinds[FIELD.deviceType] = KIND.absent;
    this.kinds[FIELD.browser] = KIND.absent;
  }
}

function kindOfFirstByte(first: number): number {
  if (first === OPEN_BRACE) return KIND.object;
  if (first === OPEN_BRACKET) return KIND.array;
  if (first === 0x6e) return KIND.null;
  if (first === 0x74 || first === 0x66) return KIND.boolean;
  return KIND.number;
}
