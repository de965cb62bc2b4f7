import { bitsOf, EVENT_KEYS, FIELD, FIELD_COUNT, type FieldGroup, isString, KIND, NO_FIELD } from './fields.ts';
import { ID_FIELDS, SESSION_BITS, SESSION_KEYS, TIME_FIELDS } from './fields.ts';
import { readUsualUuid, UUID_CHARACTERS, type UuidWords } from './ids.ts';
import { CLOSE_BRACE, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-cursor.ts';
import { KnownKeys } from './known-keys.ts';
import { MemberList } from './member-list.ts';
import { TimeReader } from '../../core/times.ts';

/** `2026-01-27T19:20:12.369Z` */
const USUAL_TIME_CHARACTERS = 24;

const UUID_BITS = ID_FIELDS.bits | bitsOf([FIELD.sessionId, FIELD.userId, FIELD.sessionDotId]);
const TIME_BITS = TIME_FIELDS.bits;

/** Where one field is, and what is known of it. Valid only while the field is present. */
class FieldSlice implements UuidWords {
  /** One of KIND. */
  kind: number = KIND.absent;
  start = 0;
  end = 0;
  /** Opening quote of the key. */
  keyStart = 0;
  /** The value is a UUID in its usual spelling; its bytes are in the four words. */
  isUuid = false;
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
}

/**
 * Where the fields of one event are, as byte ranges of the page. Filled again for every event, so that nothing is
 * allocated per event. A string's range is its characters without the quotes; any other value's range is the value. Of a
 * doubled key the last one counts.
 *
 * UUIDs and times in their usual spelling have a known length. The scan reads them when it meets them, so that nobody
 * walks over them a second time.
 */
export class EventSlices {
  /** The whole event. */
  start = 0;
  end = 0;
  isObject = false;
  /** The event has something that PostgreSQL cannot hold as it is; see JsonCursor. */
  unstorable = false;
  /** Deepest nesting, the event's own braces counted. */
  depth = 0;
  /** An object of the event may have a key twice: `fieldOfDoubledKey` tells. */
  mayHaveDoubledKey = false;
  /** Bit `1 << field` for every field that is there. */
  present = 0;
  /** The field whose time is in `time`; NO_FIELD: none was in a usual spelling. */
  timeField = NO_FIELD;
  readonly time = new TimeReader();
  /** Members that have no column. */
  readonly others = new MemberList();
  readonly sessionOthers = new MemberList();
  readonly #slices: readonly FieldSlice[] = Array.from({ length: FIELD_COUNT }, () => new FieldSlice());
  readonly #eventKeys = new KnownKeys(EVENT_KEYS);
  readonly #sessionKeys = new KnownKeys(SESSION_KEYS);

  /** The field must be present: the slice of an absent one is of an earlier event. */
  of(field: number): FieldSlice {
    return this.#slices[field] ?? NO_SLICE;
  }

  /** One of KIND. */
  kindOf(field: number): number {
    return (this.present & (1 << field)) === 0 ? KIND.absent : this.of(field).kind;
  }

  has(field: number): boolean {
    return (this.present & (1 << field)) !== 0;
  }

  /** The field that a column is read from: the first of the group that is there and not null, or NO_FIELD. */
  choose(group: FieldGroup): number {
    if (this.#hasValue(group.canonical)) return group.canonical;
    if ((this.present & group.bits) === 0) return NO_FIELD;
    for (const field of group.fields) {
      if (this.#hasValue(field)) return field;
    }
    return NO_FIELD;
  }

  #hasValue(field: number): boolean {
    const kind = this.kindOf(field);
    return kind !== KIND.absent && kind !== KIND.null;
  }

  /** Offset after the field's value, its closing quote included. */
  memberEndOf(field: number): number {
    const { kind, end } = this.of(field);
    return isString(kind) ? end + 1 : end;
  }

  /** Reads the element of `data` at `at`; returns the offset after it. Throws NotJsonError. */
  read(cursor: JsonCursor, at: number): number {
    cursor.unstorable = false;
    cursor.deepest = 1;
    cursor.keys.count = 0;
    cursor.keys.mayBeDoubled = false;
    this.start = at;
    this.present = 0;
    this.isObject = cursor.bytes[at] === OPEN_BRACE;
    if (this.isObject) {
      this.timeField = NO_FIELD;
      this.others.clear();
      this.sessionOthers.clear();
      this.end = this.#readMembers(cursor, at, this.#eventKeys, this.others, 1);
    } else {
      this.end = cursor.endOfValue(at, 0);
    }
    this.unstorable = cursor.unstorable;
    this.depth = cursor.deepest;
    this.mayHaveDoubledKey = cursor.keys.mayBeDoubled;
    return this.end;
  }

  #readMembers(cursor: JsonCursor, open: number, known: KnownKeys, others: MemberList, depth: number): number {
    const bytes = cursor.bytes;
    const keys = cursor.keys.count;
    let learned = known.first;
    let at = open;
    for (;;) {
      const from = at;
      let keyStart: number;
      let field: number;
      at = learned.endIfAt(cursor, from);
      if (at !== 0) {
        keyStart = from + learned.keyOffset;
        field = learned.field;
        if ((bytes[at] ?? 0) <= 0x20) at = cursor.skipSpace(at);
      } else {
        // As `nextMember` reads it. Called, it made the scan of a page 10 % slower: this runs once an event and an object.
        at = bytes[from] === CLOSE_BRACE ? from : cursor.skipSpace(from === open ? from + 1 : from);
        if (bytes[at] === CLOSE_BRACE) {
          cursor.keys.count = keys;
          return at + 1;
        }
        if (from !== open) {
          if (bytes[at] !== COMMA) cursor.fail(at, 'a comma or }');
          at = cursor.skipSpace(at + 1);
        }
        if (bytes[at] !== QUOTE) cursor.fail(at, 'a key');
        keyStart = at;
        const keyEnd = cursor.endOfString(keyStart + 1);
        field = known.find(bytes, keyStart + 1, keyEnd, cursor.escaped);
        at = cursor.startAfterColon(keyEnd + 1);
        learned.learn(cursor, from, at, keyStart, keyEnd, field);
      }
      if (field === NO_FIELD) {
        cursor.keys.add(bytes, keys, keyStart + 1, learned.keyLength, learned.isEscaped);
        at = cursor.endOfValue(at, depth);
        others.add(keyStart, at);
      } else {
        at = this.#readField(cursor, at, field, keyStart, depth);
      }
      learned = known.after(field);
    }
  }

  #readField(cursor: JsonCursor, at: number, field: number, keyStart: number, depth: number): number {
    const first = cursor.bytes[at] ?? 0;
    const bit = 1 << field;
    const slice = this.of(field);
    if ((this.present & bit) !== 0) cursor.keys.mayBeDoubled = true;
    this.present |= bit;
    slice.keyStart = keyStart;
    if (first === QUOTE) return this.#readString(cursor, at + 1, slice, field, bit);
    slice.isUuid = false;
    slice.start = at;
    if (field === FIELD.session) this.#forgetSession();
    let end: number;
    if (field === FIELD.session && first === OPEN_BRACE) {
      if (depth + 1 > cursor.deepest) cursor.deepest = depth + 1;
      end = this.#readMembers(cursor, at, this.#sessionKeys, this.sessionOthers, depth + 1);
    } else if ((bit & TIME_BITS) !== 0) {
      end = this.#endOfTime(cursor, at, field, depth);
    } else {
      end = cursor.endOfValue(at, depth);
    }
    slice.kind = kindOfFirstByte(first);
    slice.end = end;
    return end;
  }

  /** Of a doubled `session` only the last one counts, with nothing left of the first. */
  #forgetSession(): void {
    this.present &= ~SESSION_BITS;
    this.sessionOthers.clear();
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
  #readString(cursor: JsonCursor, start: number, slice: FieldSlice, field: number, bit: number): number {
    slice.start = start;
    slice.kind = KIND.text;
    if ((bit & UUID_BITS) !== 0) {
      const isSessionId = field === FIELD.sessionDotId && this.#isSessionIdAgain(cursor, start, slice);
      slice.isUuid = isSessionId || readUsualUuid(cursor, start, slice);
      if (slice.isUuid) {
        slice.end = start + UUID_CHARACTERS;
        return slice.end + 1;
      }
    } else if ((bit & TIME_BITS) !== 0) {
      const end = start + USUAL_TIME_CHARACTERS;
      if (cursor.bytes[end] === QUOTE && this.time.readUsualText(cursor.bytes, start, end)) {
        this.timeField = field;
        slice.end = end;
        return slice.end + 1;
      }
      if (this.timeField === field) this.timeField = NO_FIELD;
    } else if (field === FIELD.session) {
      this.#forgetSession();
    }
    const end = cursor.endOfString(start);
    if (cursor.escaped) slice.kind = KIND.escapedText;
    slice.end = end;
    return end + 1;
  }

  /** A session's own id is nearly always the event's `sessionId`: then its digits need not be read again. */
  #isSessionIdAgain(cursor: JsonCursor, start: number, into: UuidWords): boolean {
    const sessionId = this.of(FIELD.sessionId);
    if (!this.has(FIELD.sessionId) || !sessionId.isUuid) return false;
    // The closing quote is compared as well.
    if (!cursor.isSameText(start, sessionId.start, UUID_CHARACTERS + 1)) return false;
    into.word0 = sessionId.word0;
    into.word1 = sessionId.word1;
    into.word2 = sessionId.word2;
    into.word3 = sessionId.word3;
    return true;
  }
}

/** For the compiler alone: every field has a slice. */
const NO_SLICE = new FieldSlice();

function kindOfFirstByte(first: number): number {
  if (first === OPEN_BRACE) return KIND.object;
  if (first === OPEN_BRACKET) return KIND.array;
  if (first === 0x6e) return KIND.null;
  if (first === 0x74 || first === 0x66) return KIND.boolean;
  return KIND.number;
}
