import type { FieldSlice } from '../scan/field-slice.ts';
import { isString, KIND } from '../scan/fields.ts';
import { writeUuid } from '../scan/ids.ts';
import { decodeString, decodeToString, storable } from '../scan/json-strings.ts';

/** Characters of an id that are kept for messages and for `ingestion.anomaly.event_id`. */
const MAX_EXCERPT_CHARACTERS = 200;

const ENCODER = new TextEncoder();

/** The characters of one field, decoded if it has escapes: `bytes[start, end)`. Filled again for every field. */
export class FieldText {
  bytes: Uint8Array;
  start = 0;
  end = 0;
  /** It has characters that PostgreSQL cannot hold; in `bytes` they are replaced. */
  unstorable = false;
  readonly #body: Uint8Array;

  constructor(body: Uint8Array) {
    this.#body = body;
    this.bytes = body;
  }

  /** The characters of a string, or the digits of a number. */
  read({ kind, start, end }: FieldSlice): void {
    this.start = start;
    this.end = end;
    this.unstorable = false;
    this.bytes = this.#body;
    if (kind !== KIND.escapedText) return;
    const text = decodeString(this.#body, start, end);
    const stored = storable(text);
    this.bytes = ENCODER.encode(stored);
    this.start = 0;
    this.end = this.bytes.length;
    this.unstorable = stored !== text;
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
  isSame(left: FieldSlice, right: FieldSlice, asUuids: boolean): boolean {
    const isNumber = left.kind === KIND.number && right.kind === KIND.number;
    if (!isNumber && !(isString(left.kind) && isString(right.kind))) return false;
    this.#left.read(left);
    this.#right.read(right);
    return this.#areSameBytes() || (asUuids && this.#areSameUuids());
  }

  #areSameBytes(): boolean {
    const [left, right] = [this.#left, this.#right];
    return (
      Buffer.compare(left.bytes.subarray(left.start, left.end), right.bytes.subarray(right.start, right.end)) === 0
    );
  }

  #areSameUuids(): boolean {
    const [left, right] = [this.#left, this.#right];
    return (
      writeUuid(this.#leftUuid, 0, left.bytes, left.start, left.end) &&
      writeUuid(this.#rightUuid, 0, right.bytes, right.start, right.end) &&
      Buffer.compare(this.#leftUuid, this.#rightUuid) === 0
    );
  }
}

/** An id as served, for people: decoded, repaired, cut. Null: neither string nor number. */
export function excerptOfId(body: Uint8Array, { kind, start, end }: FieldSlice): string | null {
  if (!isString(kind) && kind !== KIND.number) return null;
  // A character has one code unit, or two.
  const text = decodeToString(body, start, end).slice(0, 2 * MAX_EXCERPT_CHARACTERS);
  return Array.from(text).slice(0, MAX_EXCERPT_CHARACTERS).join('');
}
