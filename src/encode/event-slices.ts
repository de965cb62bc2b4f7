import { readUsualUuid } from './ids.ts';
import { CLOSE_BRACE, COMMA, type JsonCursor, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-cursor.ts';
import { KnownKeys, NO_FIELD } from './known-keys.ts';
import { MemberList } from './member-list.ts';
import { TimeReader } from './times.ts';

/** Fields that have a column, each spelling of its own. */
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

const EVENT_KEYS: readonly (readonly [string, number])[] = [
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

const SESSION_KEYS: readonly (readonly [string, number])[] = [
  ['id', FIELD.sessionDotId],
  ['deviceType', FIELD.deviceType],
  ['browser', FIELD.browser],
];

const bitsOf = (...fields: readonly number[]): number => fields.reduce((bits, field) => bits | (1 << field), 0);

const UUID_FIELDS = bitsOf(FIELD.id, FIELD.sessionId, FIELD.userId, FIELD.sessionDotId);
const TIME_FIELDS = bitsOf(FIELD.timestamp, FIELD.occurredAt, FIELD.occurred_at);
const SESSION_FIELDS = bitsOf(FIELD.sessionDotId, FIELD.deviceType, FIELD.browser);

/**
 * Where the fields of one event are, as byte ranges of the page. One instance is filled again for every event: nothing
 * is allocated per event. A string's range is its characters without the quotes; any other value's range is the value.
 * Of a doubled key the last one counts.
 *
 * UUIDs and times in their usual spelling have a known length, so they are read where the scan meets them, and not
 * walked over a second time.
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
  /** Bit `1 << field` for every field that is there. */
  present = 0;
  /** The field whose time is in `time`; NO_FIELD: none was in a usual spelling. */
  timeField = NO_FIELD;
  readonly time = new TimeReader();
  /** Members that have no column. */
  readonly others = new MemberList();
  readonly sessionOthers = new MemberList();
  /** Four words a field, the bytes of a UUID in order; valid where `hasUuid` says so. */
  readonly uuids = new Int32Array(FIELD_COUNT * 4);
  #uuidsRead = 0;
  // Valid only for fields that are present.
  readonly #kinds = new Uint8Array(FIELD_COUNT);
  readonly #starts = new Int32Array(FIELD_COUNT);
  readonly #ends = new Int32Array(FIELD_COUNT);
  readonly #keyStarts = new Int32Array(FIELD_COUNT);
  readonly #eventKeys = new KnownKeys(EVENT_KEYS, FIELD_COUNT);
  readonly #sessionKeys = new KnownKeys(SESSION_KEYS, FIELD_COUNT);

  /** One of KIND. */
  kindOf(field: number): number {
    return (this.present & (1 << field)) === 0 ? KIND.absent : (this.#kinds[field] ?? KIND.absent);
  }

  startOf(field: number): number {
    return this.#starts[field] ?? 0;
  }

  endOf(field: number): number {
    return this.#ends[field] ?? 0;
  }

  /** Opening quote of the field's key. */
  memberStartOf(field: number): number {
    return this.#keyStarts[field] ?? 0;
  }

  /** Offset after the field's value, its closing quote included. */
  memberEndOf(field: number): number {
    const kind = this.kindOf(field);
    return this.endOf(field) + (kind === KIND.text || kind === KIND.escapedText ? 1 : 0);
  }

  /** The field is a UUID in its usual spelling, and its bytes are in `uuids`. */
  hasUuid(field: number): boolean {
    return (this.#uuidsRead & (1 << field)) !== 0;
  }

  /** Reads the element of `data` at `at`; returns the offset after it. Throws NotJsonError. */
  read(cursor: JsonCursor, at: number): number {
    cursor.unstorable = false;
    cursor.deepest = 1;
    this.start = at;
    this.present = 0;
    this.isObject = cursor.bytes[at] === OPEN_BRACE;
    if (this.isObject) {
      this.#uuidsRead = 0;
      this.timeField = NO_FIELD;
      this.others.clear();
      this.sessionOthers.clear();
      this.end = this.#readMembers(cursor, at, this.#eventKeys, this.others, 1);
    } else {
      this.end = cursor.endOfValue(at, 0);
    }
    this.unstorable = cursor.unstorable;
    this.depth = cursor.deepest;
    return this.end;
  }

  #readMembers(cursor: JsonCursor, open: number, known: KnownKeys, others: MemberList, depth: number): number {
    const bytes = cursor.bytes;
    let previous = NO_FIELD;
    let at = cursor.skipSpace(open + 1);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    for (;;) {
      const keyStart = at;
      let field = known.expectedAfter(previous);
      at = field === NO_FIELD ? 0 : known.endIfAt(cursor, keyStart, field);
      if (at === 0) {
        if (bytes[keyStart] !== QUOTE) cursor.fail(keyStart, 'a key');
        at = cursor.endOfString(keyStart + 1) + 1;
        field = known.find(bytes, keyStart + 1, at - 1, cursor.escaped, previous);
        at = cursor.startAfterColon(at);
      } else if ((bytes[at] ?? 0) <= 0x20) {
        at = cursor.skipSpace(at);
      }
      previous = field;
      if (field === NO_FIELD) {
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

  #readField(cursor: JsonCursor, at: number, field: number, keyStart: number, depth: number): number {
    const first = cursor.bytes[at] ?? 0;
    const bit = 1 << field;
    this.present |= bit;
    this.#keyStarts[field] = keyStart;
    if (field === FIELD.session) {
      // Of a doubled `session` only the last one counts, with nothing left of the first.
      this.present &= ~SESSION_FIELDS;
      this.sessionOthers.clear();
    }
    if (first === QUOTE) return this.#readString(cursor, at + 1, field, bit);
    this.#uuidsRead &= ~bit;
    this.#starts[field] = at;
    let end: number;
    if (field === FIELD.session && first === OPEN_BRACE) {
      if (depth + 1 > cursor.deepest) cursor.deepest = depth + 1;
      end = this.#readMembers(cursor, at, this.#sessionKeys, this.sessionOthers, depth + 1);
    } else if ((bit & TIME_FIELDS) !== 0) {
      end = this.#endOfTime(cursor, at, field, depth);
    } else {
      end = cursor.endOfValue(at, depth);
    }
    this.#kinds[field] = kindOfFirstByte(first);
    this.#ends[field] = end;
    return end;
  }

  /** A time that is no string. */
  #endOfTime(cursor: JsonCursor, at: number, field: number, depth: number): number {
    const end = this.time.readUsualNumber(cursor.bytes, at);
    if (end !== 0) {
      this.timeField = field;
      return end;
    }
    if (this.timeField === field) this.timeField = NO_FIELD;
    return cursor.endOfValue(at, depth);
  }

  /** `start` is the first byte inside the quotes. */
  #readString(cursor: JsonCursor, start: number, field: number, bit: number): number {
    this.#starts[field] = start;
    this.#kinds[field] = KIND.text;
    let end: number;
    if ((bit & UUID_FIELDS) !== 0) {
      if (readUsualUuid(cursor, start, this.uuids, field * 4)) {
        this.#uuidsRead |= bit;
        end = start + 36;
        this.#ends[field] = end;
        return end + 1;
      }
      this.#uuidsRead &= ~bit;
    } else if ((bit & TIME_FIELDS) !== 0) {
      if (cursor.bytes[start + 24] === QUOTE && this.time.readUsualText(cursor.bytes, start)) {
        this.timeField = field;
        end = start + 24;
        this.#ends[field] = end;
        return end + 1;
      }
      if (this.timeField === field) this.timeField = NO_FIELD;
    }
    end = cursor.endOfString(start);
    if (cursor.escaped) this.#kinds[field] = KIND.escapedText;
    this.#ends[field] = end;
    return end + 1;
  }
}

function kindOfFirstByte(first: number): number {
  if (first === OPEN_BRACE) return KIND.object;
  if (first === OPEN_BRACKET) return KIND.array;
  if (first === 0x6e) return KIND.null;
  if (first === 0x74 || first === 0x66) return KIND.boolean;
  return KIND.number;
}
