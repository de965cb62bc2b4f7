import { type CompiledColumn, type CompiledPlan, NO_FIELD, USUAL } from '../plan/compiled-plan.ts';
import { FieldSlice, NO_OBJECT, NO_SLICE, ScannedObject } from './field-slice.ts';
import { KIND } from './fields.ts';
import { readUsualUuid, UUID_CHARACTERS } from './ids.ts';
import { CLOSE_BRACE, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-cursor.ts';
import type { MemberList } from './member-list.ts';

/** `2026-01-27T19:20:12.369Z` */
const USUAL_TIME_CHARACTERS = 24;

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
  /** The page has keys that are aliases. */
  hasAliases = false;
  readonly #number = { current: 0 };
  readonly #slices: readonly FieldSlice[];
  readonly #objects: readonly ScannedObject[];
  readonly #record: ScannedObject;

  readonly plan: CompiledPlan;

  constructor(plan: CompiledPlan) {
    const { fields, objects } = plan;
    this.plan = plan;
    const slices: FieldSlice[] = [];
    // A field comes after the one that it repeats.
    for (const field of fields) slices.push(new FieldSlice(field, this.#number, slices[field.repeats] ?? null));
    this.#slices = slices;
    this.#objects = objects.map((object) => new ScannedObject(object, slices));
    for (const [index, { field }] of objects.entries()) {
      const slice = slices[field];
      if (slice !== undefined) slice.nested = this.#objects[index] ?? null;
    }
    this.#record = this.#objects[0] ?? NO_OBJECT;
  }

  of(field: number): FieldSlice {
    return this.#slices[field] ?? NO_SLICE;
  }

  /** The field that a column is read from: the first one that is there and not null; where none is, the canonical one. */
  choose({ canonical, aliases }: CompiledColumn): FieldSlice {
    for (const field of [canonical, ...aliases]) {
      if (this.of(field).hasValue) return this.of(field);
    }
    return this.of(canonical);
  }

  /** Number of the event read last. */
  get event(): number {
    return this.#number.current;
  }

  /** A field of the event read last that is as expected needs no second look: no key is doubled, nothing has to be repaired. */
  get isPlain(): boolean {
    return !this.unstorable && !this.mayHaveDoubledKey;
  }

  /** Members of an object of the plan that have no column. */
  othersOf(object: number): MemberList {
    return (this.#objects[object] ?? NO_OBJECT).others;
  }

  /** Reads the element of `data` at `at`; returns the offset after it. Throws NotJsonError. */
  read(cursor: JsonCursor, at: number): number {
    cursor.unstorable = false;
    cursor.deepest = 1;
    cursor.keys.count = 0;
    cursor.keys.mayBeDoubled = false;
    this.start = at;
    this.#number.current += 1;
    this.isObject = cursor.bytes[at] === OPEN_BRACE;
    if (this.isObject) {
      for (const { others } of this.#objects) others.clear();
      this.end = this.#readMembers(cursor, at, this.#record, 1);
    } else {
      this.end = cursor.endOfValue(at, 0);
    }
    this.unstorable = cursor.unstorable;
    this.depth = cursor.deepest;
    this.mayHaveDoubledKey = cursor.keys.mayBeDoubled;
    return this.end;
  }

  #readMembers(cursor: JsonCursor, open: number, object: ScannedObject, depth: number): number {
    const bytes = cursor.bytes;
    const keys = cursor.keys.count;
    const known = object.known;
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
        // A key that was learned is met without asking: so this is of the page, not of the event.
        if (field !== NO_FIELD && this.of(field).isAlias) this.hasAliases = true;
      }
      if (field === NO_FIELD) {
        cursor.keys.add(bytes, keys, keyStart + 1, learned.keyLength, learned.isEscaped);
        at = cursor.endOfValue(at, depth);
        object.others.add(keyStart, at);
      } else {
        at = this.#readField(cursor, at, this.of(field), keyStart, depth);
      }
      learned = known.after(field);
    }
  }

  #readField(cursor: JsonCursor, at: number, slice: FieldSlice, keyStart: number, depth: number): number {
    const first = cursor.bytes[at] ?? 0;
    const event = this.#number.current;
    if (slice.event === event) this.#forget(cursor, slice);
    slice.event = event;
    slice.keyStart = keyStart;
    if (first === QUOTE) return this.#readString(cursor, at + 1, slice, event);
    slice.start = at;
    let end: number;
    if (first === OPEN_BRACE && slice.nested !== null) {
      if (depth + 1 > cursor.deepest) cursor.deepest = depth + 1;
      end = this.#readMembers(cursor, at, slice.nested, depth + 1);
      if (slice.expected === USUAL.json) slice.usualIn = event;
    } else if (slice.expected === USUAL.time) {
      end = slice.time.readUsualNumber(cursor.bytes, at);
      if (end === 0) end = cursor.endOfValue(at, depth);
      else slice.usualIn = event;
    } else {
      end = cursor.endOfValue(at, depth);
      if (slice.expected === USUAL.json) slice.usualIn = event;
    }
    slice.foundKind = kindOfFirstByte(first);
    slice.end = end;
    return end;
  }

  /** Of a doubled key only the last value counts, with nothing left of an object before it. */
  #forget(cursor: JsonCursor, slice: FieldSlice): void {
    cursor.keys.mayBeDoubled = true;
    slice.usualIn = 0;
    if (slice.nested !== null) this.#forgetObject(slice.nested);
  }

  #forgetObject(object: ScannedObject): void {
    object.others.clear();
    for (const slice of object.slices) {
      slice.event = 0;
      slice.usualIn = 0;
      if (slice.nested !== null) this.#forgetObject(slice.nested);
    }
  }

  /** `start` is the first byte inside the quotes. */
  #readString(cursor: JsonCursor, start: number, slice: FieldSlice, event: number): number {
    slice.start = start;
    slice.foundKind = KIND.text;
    const { expected } = slice;
    if (expected === USUAL.uuid) {
      if (this.#isRepeated(cursor, start, slice, event) || readUsualUuid(cursor, start, slice)) {
        slice.usualIn = event;
        slice.end = start + UUID_CHARACTERS;
        return slice.end + 1;
      }
    } else if (expected === USUAL.time) {
      const end = start + USUAL_TIME_CHARACTERS;
      if (cursor.bytes[end] === QUOTE && slice.time.readUsualText(cursor.bytes, start, end)) {
        slice.usualIn = event;
        slice.end = end;
        return end + 1;
      }
    }
    const end = cursor.endOfString(start);
    if (cursor.escaped) slice.foundKind = KIND.escapedText;
    else if (expected === USUAL.text) slice.usualIn = event;
    slice.end = end;
    return end + 1;
  }

  /** A UUID that repeats another field's nearly always has its digits, which need not be read again. */
  #isRepeated(cursor: JsonCursor, start: number, slice: FieldSlice, event: number): boolean {
    const repeated = slice.repeated;
    if (repeated?.usualIn !== event) return false;
    // The closing quote is compared as well.
    if (!cursor.isSameText(start, repeated.start, UUID_CHARACTERS + 1)) return false;
    slice.sameIn = event;
    slice.word0 = repeated.word0;
    slice.word1 = repeated.word1;
    slice.word2 = repeated.word2;
    slice.word3 = repeated.word3;
    return true;
  }
}

function kindOfFirstByte(first: number): number {
  if (first === OPEN_BRACE) return KIND.object;
  if (first === OPEN_BRACKET) return KIND.array;
  if (first === 0x6e) return KIND.null;
  if (first === 0x74 || first === 0x66) return KIND.boolean;
  return KIND.number;
}
