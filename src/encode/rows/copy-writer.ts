import { COPY_COLUMNS } from './event-columns.ts';
import { decodeInto, copyRepaired, type Repairs } from '../scan/json-strings.ts';
import { type UuidWords, writeUuid } from '../scan/ids.ts';

/**
 * PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"): a header, tuples, a trailer. Everything is
 * big-endian.
 *
 *   'PGCOPY\n\xff\r\n\0'  int32 flags 0  int32 extension length 0
 *   tuple: int16 field count, then a field: int32 byte length (−1: null), bytes
 *   int16 −1
 */
const HEADER = Uint8Array.of(
  ...[0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00],
  ...[0, 0, 0, 0],
  ...[0, 0, 0, 0],
);
export const COPY_HEADER_BYTES = HEADER.length;
/** A stream cut at a row's border loads without an error when it has no trailer: it is not optional here. */
const TRAILER = Uint8Array.of(0xff, 0xff);
export const COPY_TRAILER_BYTES = TRAILER.length;

const FIELD_COUNT = COPY_COLUMNS.length;
/** First byte of a jsonb value: the version of the representation that follows, 1 is text. */
const JSONB_VERSION = 1;
/** Below this a loop is faster than making a view for TypedArray.set. */
const LOOP_COPY_BYTES = 160;
const TWO_POW_32 = 4_294_967_296;
/** Rows begin in a buffer of at least this size. */
const MIN_CAPACITY_BYTES = 4096;
/** The largest ArrayBuffer that is asked for: PostgreSQL takes no single field of 1 GiB, and no page comes near. */
const MAX_CAPACITY_BYTES = 2 ** 31 - 1;

/**
 * Writes rows as a binary COPY stream into one growing ArrayBuffer of its own. One field writer a PostgreSQL type.
 *
 * `reserve` before a row makes room for all of it; the field writers do not check. The buffer is given away by `finish`
 * (it is transferred to another thread, so it cannot be used again).
 */
export class CopyWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;
  #rowCount = 0;
  #rowStart = 0;

  readonly #body: Uint8Array;
  readonly #bodyWords: DataView;
  readonly #lastBodyDouble: number;

  /** `body`: where nearly all that is written is copied from. `spare`: instead of a new buffer, if large enough. */
  constructor(body: Uint8Array, capacityBytes: number, spare?: ArrayBuffer) {
    this.#body = body;
    this.#bodyWords = new DataView(body.buffer, body.byteOffset, body.byteLength);
    this.#lastBodyDouble = body.byteLength - 8;
    const capacity = Math.min(Math.max(capacityBytes, MIN_CAPACITY_BYTES), MAX_CAPACITY_BYTES);
    this.#bytes =
      spare !== undefined && spare.byteLength >= capacity ? new Uint8Array(spare) : new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
    this.restart();
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Forgets all rows. */
  restart(): void {
    this.#bytes.set(HEADER);
    this.#at = HEADER.length;
    this.#rowCount = 0;
  }

  /** Room for at least `bytes` more, the trailer apart. */
  reserve(bytes: number): void {
    const needed = this.#at + bytes + TRAILER.length;
    if (needed <= this.#bytes.length) return;
    const capacity = Math.min(Math.max(needed, Math.floor(this.#bytes.length * 1.5)), MAX_CAPACITY_BYTES);
    const grown = new Uint8Array(Math.max(capacity, needed));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  startRow(): void {
    this.#rowStart = this.#at;
    const bytes = this.#bytes;
    bytes[this.#at] = FIELD_COUNT >> 8;
    bytes[this.#at + 1] = FIELD_COUNT & 0xff;
    this.#at += 2;
  }

  endRow(): void {
    this.#rowCount += 1;
  }

  /** Takes back what was written since `startRow`. */
  dropRow(): void {
    this.#at = this.#rowStart;
  }

  /** Adds the trailer. The writer must not be used afterwards. */
  finish(): { readonly rows: ArrayBuffer; readonly rowsBytes: number; readonly rowCount: number } {
    this.#bytes.set(TRAILER, this.#at);
    return { rows: this.#bytes.buffer, rowsBytes: this.#at + TRAILER.length, rowCount: this.#rowCount };
  }

  null(): void {
    this.#length(this.#at, -1);
    this.#at += 4;
  }

  /** The UUID spelled by `source[start, end)`; false, and nothing written, if it is none. */
  uuid(source: Uint8Array, start: number, end: number): boolean {
    if (!writeUuid(this.#bytes, this.#at + 4, source, start, end)) return false;
    this.#length(this.#at, 16);
    this.#at += 20;
    return true;
  }

  /** The UUID in four words of `words`, as readUsualUuid made them. */
  uuidWords(words: UuidWords): void {
    const view = this.#view;
    const at = this.#at;
    view.setInt32(at, 16);
    view.setInt32(at + 4, words.word0, true);
    view.setInt32(at + 8, words.word1, true);
    view.setInt32(at + 12, words.word2, true);
    view.setInt32(at + 16, words.word3, true);
    this.#at = at + 20;
  }

  /** UTF-8 text, exactly `source[start, end)`. */
  text(source: Uint8Array, start: number, end: number): void {
    this.#length(this.#at, end - start);
    this.#at += 4;
    this.#copy(source, start, end);
  }

  /**
   * The characters of the JSON string inside `source[start, end)`, repaired where needed; returns their length in
   * bytes.
   */
  decodedText(source: Uint8Array, start: number, end: number, repairs: Repairs): number {
    const textStart = this.#at + 4;
    const textEnd = decodeInto(this.#bytes, textStart, source, start, end, repairs);
    this.#length(this.#at, textEnd - textStart);
    this.#at = textEnd;
    return textEnd - textStart;
  }

  /** Exactly the JSON text `source[start, end)`. */
  jsonb(source: Uint8Array, start: number, end: number): void {
    this.#length(this.#at, end - start + 1);
    this.#bytes[this.#at + 4] = JSONB_VERSION;
    this.#at += 5;
    this.#copy(source, start, end);
  }

  /** µs since 2000, as two halves of 32 bits. */
  timestamptz(high: number, low: number): void {
    this.#int64(high, low);
  }

  bigint(high: number, low: number): void {
    this.#int64(high, low);
  }

  /** Begins a jsonb value that is written in pieces; returns what `endJsonb` must be given. */
  startJsonb(): number {
    const at = this.#at;
    this.#bytes[at + 4] = JSONB_VERSION;
    this.#at += 5;
    return at;
  }

  endJsonb(startedAt: number): void {
    this.#length(startedAt, this.#at - startedAt - 4);
  }

  /** Bytes as they are, inside `startJsonb` … `endJsonb`. */
  raw(source: Uint8Array, start: number, end: number): void {
    this.#copy(source, start, end);
  }

  /** JSON text with what jsonb refuses repaired, inside `startJsonb` … `endJsonb`. */
  repairedJson(source: Uint8Array, start: number, end: number, repairs: Repairs): void {
    this.#at = copyRepaired(this.#bytes, this.#at, source, start, end, repairs);
  }

  #copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    let to = this.#at;
    this.#at = to + length;
    const bytes = this.#bytes;
    if (length > LOOP_COPY_BYTES) {
      bytes.set(source.subarray(start, end), to);
      return;
    }
    let at = start;
    if (source === this.#body && end <= this.#lastBodyDouble) {
      // Up to seven bytes too many are copied; the next field, or the trailer, is written over them, and `reserve` has
      // room for them. As doubles, because nothing else moves eight bytes at once; a NaN could come out with other
      // bits, but no eight bytes of valid UTF-8 are one (0xff is never in it, nor 0xf0 and above before 0x7f), and a page
      // of invalid UTF-8 is never loaded.
      const view = this.#view;
      const words = this.#bodyWords;
      for (; at < end; at += 8) {
        view.setFloat64(to, words.getFloat64(at, true), true);
        to += 8;
      }
      return;
    }
    for (; at < end; at += 1) {
      bytes[to] = source[at] ?? 0;
      to += 1;
    }
  }

  #int64(high: number, low: number): void {
    this.#length(this.#at, 8);
    this.#length(this.#at + 4, high);
    this.#length(this.#at + 8, low);
    this.#at += 12;
  }

  #length(at: number, value: number): void {
    this.#view.setInt32(at, value);
  }
}

/** Splits `first + index` into two halves of 32 bits without a bigint per row. */
export class SourceOrder {
  high = 0;
  low = 0;
  readonly #firstHigh: number;
  readonly #firstLow: number;

  constructor(first: bigint) {
    this.#firstHigh = Number(BigInt.asIntN(32, first >> 32n));
    this.#firstLow = Number(BigInt.asUintN(32, first));
  }

  set(index: number): void {
    const low = this.#firstLow + index;
    const carry = low >= TWO_POW_32 ? 1 : 0;
    this.high = this.#firstHigh + carry;
    this.low = low - carry * TWO_POW_32;
  }
}
