import { type EventSlices, KIND } from '../scan/event-slices.ts';
import { decodeInto, decodeToString, Repairs } from '../scan/json-strings.ts';
import { isString } from '../scan/field-groups.ts';
import { writeUuid } from '../scan/ids.ts';

/** Characters of an id that are kept for messages and for `ingestion.anomaly.event_id`. */
const MAX_EXCERPT_CHARACTERS = 200;
/**
 * An excerpt needs no more bytes than that: an escaped pair of surrogates is twelve, and half of one may be cut off at
 * the end.
 */
const MAX_EXCERPT_BYTES = (MAX_EXCERPT_CHARACTERS + 1) * 12;

/**
 * The characters of one field, decoded, where they had to be: `bytes[start, end)`. One instance is filled again and
 * again.
 */
export class FieldText {
  bytes: Uint8Array;
  start = 0;
  end = 0;
  /** It has characters that PostgreSQL cannot hold; in `bytes` they are replaced. */
  unstorable = false;
  readonly #body: Uint8Array;
  readonly #repairs = new Repairs();
  #decoded = new Uint8Array(256);

  constructor(body: Uint8Array) {
    this.#body = body;
    this.bytes = body;
  }

  /** The characters of a string, or the digits of a number. */
  read(slices: EventSlices, field: number): void {
    this.start = slices.startOf(field);
    this.end = slices.endOf(field);
    this.unstorable = false;
    this.bytes = this.#body;
    if (slices.kindOf(field) !== KIND.escapedText) return;
    if (this.end - this.start > this.#decoded.length) this.#decoded = new Uint8Array((this.end - this.start) * 2);
    this.#repairs.clear();
    this.end = decodeInto(this.#decoded, 0, this.#body, this.start, this.end, this.#repairs);
    this.start = 0;
    this.bytes = this.#decoded;
    this.unstorable = this.#repairs.characters;
  }
}

/**
 * Whether two fields of an event would be the same value in a column. Strings and numbers only; anything else is never
 * the same.
 */
export class FieldComparison {
  readonly #left: FieldText;
  readonly #right: FieldText;
  readonly #leftUuid = new Uint8Array(16);
  readonly #rightUuid = new Uint8Array(16);

  constructor(body: Uint8Array) {
    this.#left = new FieldText(body);
    this.#right = new FieldText(body);
  }

  /** `asUuids`: two spellings of one UUID are the same. */
  isSame(slices: EventSlices, left: number, right: number, asUuids: boolean): boolean {
    const kind = slices.kindOf(left);
    const otherKind = slices.kindOf(right);
    if (isString(kind) !== isString(otherKind)) return false;
    if (!isString(kind) && (kind !== KIND.number || otherKind !== KIND.number)) return false;
    this.#left.read(slices, left);
    this.#right.read(slices, right);
    return areSameBytes(this.#left, this.#right) || (asUuids && this.#areSameUuids());
  }

  #areSameUuids(): boolean {
    return (
      writeUuid(this.#leftUuid, 0, this.#left.bytes, this.#left.start, this.#left.end) &&
      writeUuid(this.#rightUuid, 0, this.#right.bytes, this.#right.start, this.#right.end) &&
      this.#leftUuid.every((byte, index) => byte === this.#rightUuid[index])
    );
  }
}

function areSameBytes(left: FieldText, right: FieldText): boolean {
  const length = left.end - left.start;
  if (right.end - right.start !== length) return false;
  const { bytes, start } = left;
  const { bytes: otherBytes, start: otherStart } = right;
  for (let i = 0; i < length; i += 1) {
    if (bytes[start + i] !== otherBytes[otherStart + i]) return false;
  }
  return true;
}

/**
 * An id as served, for people: decoded, repaired, cut at a character's border. Null when the field is neither string
 * nor number.
 */
export function excerptOfId(body: Uint8Array, kind: number, start: number, end: number): string | null {
  if (!isString(kind) && kind !== KIND.number) return null;
  if (end - start <= MAX_EXCERPT_CHARACTERS && kind !== KIND.escapedText) return decodeToString(body, start, end);
  const text = decodeToString(body, start, Math.min(end, start + cutAtEscape(body, start, end)));
  return Array.from(text).slice(0, MAX_EXCERPT_CHARACTERS).join('');
}

/**
 * Length of a prefix of a JSON string, at most MAX_EXCERPT_BYTES, that does not end inside an escape or a character.
 */
function cutAtEscape(body: Uint8Array, start: number, end: number): number {
  if (end - start <= MAX_EXCERPT_BYTES) return end - start;
  let at = start;
  let lastBorder = start;
  while (at - start < MAX_EXCERPT_BYTES) {
    lastBorder = at;
    const byte = body[at] ?? 0;
    if (byte === 0x5c) at += body[at + 1] === 0x75 ? 6 : 2;
    else at += byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
  }
  return lastBorder - start;
}
