import { type UuidWords, writeUuid } from '../scan/ids.ts';
import { writeNumeric } from './numbers.ts';

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
/** Not optional: without it PostgreSQL would load a stream that was cut between two rows, and report no error. */
const TRAILER = Uint8Array.of(0xff, 0xff);
export const COPY_TRAILER_BYTES = TRAILER.length;

const TWO_POW_32 = 2 ** 32;
/** First byte of a jsonb value: the version of the representation that follows, 1 is text. */
const JSONB_VERSION = 1;
/** Below this a loop is faster than making a view for TypedArray.set. */
const LOOP_COPY_BYTES = 160;
/** Rows begin in a buffer of at least this size. */
const MIN_CAPACITY_BYTES = 4096;
/** Largest ArrayBuffer. No page comes near: PostgreSQL refuses fields of 1 GiB. */
const MAX_CAPACITY_BYTES = 2 ** 31 - 1;

/**
 * Writes rows as a binary COPY stream into one growing ArrayBuffer. One field writer a PostgreSQL type.
 *
 * `reserve` before a row makes room for all of it; the field writers do not check. `finish` gives the buffer away: it is
 * transferred to another thread.
 */
export class CopyWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;
  #rowCount = 0;
  #rowStart = 0;

  readonly #body: Uint8Array;
  readonly #bodyWords: DataView;

  /** `body`: nearly everything is copied from it. `spare`: used instead of a new buffer if it is large enough. */
  constructor(body: Uint8Array, capacityBytes: number, spare?: ArrayBuffer) {
    this.#body = body;
    this.#bodyWords = new DataView(body.buffer, body.byteOffset, body.byteLength);
    const capacity = Math.min(Math.max(capacityBytes, MIN_CAPACITY_BYTES), MAX_CAPACITY_BYTES);
    const buffer = spare !== undefined && spare.byteLength >= capacity ? spare : new ArrayBuffer(capacity);
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.restart();
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

  /** @param fieldCount how many fields are written until `endRow` */
  startRow(fieldCount: number): void {
    this.#rowStart = this.#at;
    this.#view.setInt16(this.#at, fieldCount);
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
    this.#view.setInt32(this.#at, -1);
    this.#at += 4;
  }

  /** The UUID spelled by `source[start, end)`; false, and nothing written, if it is none. */
  uuid(source: Uint8Array, start: number, end: number): boolean {
    if (!writeUuid(this.#bytes, this.#at + 4, source, start, end)) return false;
    this.#view.setInt32(this.#at, 16);
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

  boolean(value: boolean): void {
    this.#view.setInt32(this.#at, 1);
    this.#bytes[this.#at + 4] = value ? 1 : 0;
    this.#at += 5;
  }

  /** The number `source[start, end)`, which `numeric` can hold. */
  numeric(source: Uint8Array, start: number, end: number): void {
    const length = writeNumeric(this.#view, this.#at + 4, source, start, end);
    this.#view.setInt32(this.#at, length);
    this.#at += 4 + length;
  }

  /** UTF-8 text, exactly `source[start, end)`. */
  text(source: Uint8Array, start: number, end: number): void {
    this.#view.setInt32(this.#at, end - start);
    this.#at += 4;
    this.raw(source, start, end);
  }

  /** Exactly the JSON text `source[start, end)`. */
  jsonb(source: Uint8Array, start: number, end: number): void {
    this.#view.setInt32(this.#at, end - start + 1);
    this.#bytes[this.#at + 4] = JSONB_VERSION;
    this.#at += 5;
    this.raw(source, start, end);
  }

  /** A bigint, or a timestamptz in µs since 2000, as its upper and lower 32 bits. */
  int64(high: number, low: number): void {
    const view = this.#view;
    view.setInt32(this.#at, 8);
    view.setInt32(this.#at + 4, high);
    view.setInt32(this.#at + 8, low);
    this.#at += 12;
  }

  /** Begins a jsonb value that is written in pieces; returns what `endJsonb` must be given. */
  startJsonb(): number {
    const at = this.#at;
    this.#bytes[at + 4] = JSONB_VERSION;
    this.#at += 5;
    return at;
  }

  endJsonb(startedAt: number): void {
    this.#view.setInt32(startedAt, this.#at - startedAt - 4);
  }

  /** Bytes as they are, inside `startJsonb` … `endJsonb`. */
  raw(source: Uint8Array, start = 0, end = source.length): void {
    const length = end - start;
    let to = this.#at;
    this.#at = to + length;
    if (length > LOOP_COPY_BYTES) {
      this.#bytes.set(source.subarray(start, end), to);
      return;
    }
    let at = start;
    if (source === this.#body && length >= 4) {
      const view = this.#view;
      const words = this.#bodyWords;
      for (; at < end - 4; at += 4) {
        view.setInt32(to, words.getInt32(at, true), true);
        to += 4;
      }
      // The last word may overlap the one before.
      view.setInt32(this.#at - 4, words.getInt32(end - 4, true), true);
      return;
    }
    const bytes = this.#bytes;
    for (; at < end; at += 1) {
      bytes[to] = source[at] ?? 0;
      to += 1;
    }
  }
}

/** `first + index` as its upper and lower 32 bits: a bigint for every row would cost 8 % of the encoder's time. */
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
