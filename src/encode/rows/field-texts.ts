import type { EventSlices } from '../scan/event-slices.ts';
import { isString, KIND } from '../scan/fields.ts';
import { writeUuid } from '../scan/ids.ts';
import { decodeInto, decodeToString, MAX_TEXT_GROWTH, Repairs } from '../scan/json-strings.ts';

/** Characters of an id that are kept for messages and for `ingestion.anomaly.event_id`. */
const MAX_EXCERPT_CHARACTERS = 200;
/** A character has at most twelve bytes (two escaped surrogates). One more, because the last may be cut in two. */
const MAX_EXCERPT_BYTES = (MAX_EXCERPT_CHARACTERS + 1) * 12;

/** The characters of one field, decoded if it has escapes: `bytes[start, end)`. Filled again for every field. */
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
    const { kind, start, end } = slices.of(field);
    this.start = start;
    this.end = end;
    this.unstorable = false;
    this.bytes = this.#body;
    if (kind !== KIND.escapedText) return;
    const mostBytes = (end - start) * MAX_TEXT_GROWTH;
    if (mostBytes > this.#decoded.length) this.#decoded = new Uint8Array(mostBytes);
    this.#repairs.clear();
    this.start = 0;
    this.end = decodeInto(this.#decoded, 0, this.#body, start, end, this.#repairs);
    this.bytes = this.#decoded;
    this.unstorable = this.#repairs.characters;
  }
}

/** Compares two fields of an event as values of one column. */
export class FieldComparison {
  readonly #left: FieldText;
  readonly #right: FieldText;
  readonly #leftUuid = new Uint8Array(16);
  readonly #rightUuid = new Uint8Array(16);

  constructor(body: Uint8Array) {
    this.#left = new FieldText(body);
    this.#right = new FieldText(body);
  }

  /** Only strings and numbers are ever the same. `asUuids`: two spellings of one UUID are the same. */
  isSame(slices: EventSlices, left: number, right: number, asUuids: boolean): boolean {
    const kind = slices.kindOf(left);
    const otherKind = slices.kindOf(right);
    const areComparable = isString(kind) ? isString(otherKind) : kind === KIND.number && otherKind === KIND.number;
    if (!areComparable) return false;
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

/** An id as served, for people: decoded, repaired, cut. Null: neither string nor number. */
export function excerptOfId(
  body: Uint8Array,
  { kind, start, end }: { readonly kind: number; readonly start: number; readonly end: number },
): string | null {
  if (!isString(kind) && kind !== KIND.number) return null;
  const text = decodeToString(body, start, Math.min(end, start + MAX_EXCERPT_BYTES));
  return Array.from(text).slice(0, MAX_EXCERPT_CHARACTERS).join('');
}
