/**
 * Takes binary COPY streams apart, for a batch that PostgreSQL refused: finds the borders of its rows, makes a complete
 * stream of some of them, and tells which event a row came from.
 */
import { COPY_HEADER_BYTES, COPY_TRAILER_BYTES } from './copy-writer.ts';

/**
 * Offsets of the rows in a complete COPY stream, and of its trailer: row i is `[offsets[i], offsets[i + 1])`.
 * Throws RangeError if the bytes are not such a stream.
 */
export function splitRows(rows: Uint8Array, rowsBytes = rows.byteLength): Uint32Array {
  const view = new DataView(rows.buffer, rows.byteOffset, rowsBytes);
  const offsets: number[] = [];
  let at = COPY_HEADER_BYTES;
  const fieldsOfARow = view.getInt16(at);
  for (;;) {
    offsets.push(at);
    const fieldCount = view.getInt16(at);
    if (fieldCount === -1) break;
    if (fieldCount !== fieldsOfARow)
      throw new RangeError(`expected ${fieldsOfARow} fields at byte ${at}, got ${fieldCount}`);
    at += 2;
    for (let field = 0; field < fieldCount; field += 1) at += 4 + Math.max(view.getInt32(at), 0);
  }
  if (at + COPY_TRAILER_BYTES !== rowsBytes)
    throw new RangeError(`expected the trailer at the end of ${rowsBytes} bytes, got it at ${at}`);
  return Uint32Array.from(offsets);
}

/**
 * A complete COPY stream, in a new buffer, of the rows `[fromRow, toRow)` of another one; `offsets` as splitRows
 * returned them.
 */
export function joinRows(
  rows: Uint8Array,
  offsets: Uint32Array,
  fromRow: number,
  toRow: number,
): Uint8Array<ArrayBuffer> {
  const start = offsetOf(offsets, fromRow);
  const end = offsetOf(offsets, toRow);
  const trailer = offsetOf(offsets, offsets.length - 1);
  const joined = new Uint8Array(COPY_HEADER_BYTES + end - start + COPY_TRAILER_BYTES);
  joined.set(rows.subarray(0, COPY_HEADER_BYTES));
  joined.set(rows.subarray(start, end), COPY_HEADER_BYTES);
  joined.set(rows.subarray(trailer, trailer + COPY_TRAILER_BYTES), joined.length - COPY_TRAILER_BYTES);
  return joined;
}

/** `source_order` of the row: its last field. Minus the page's first `source_order` it is the event's position. */
export function readSourceOrder(rows: Uint8Array, offsets: Uint32Array, row: number): bigint {
  const end = offsetOf(offsets, row + 1);
  return new DataView(rows.buffer, rows.byteOffset + end - 8, 8).getBigInt64(0);
}

function offsetOf(offsets: Uint32Array, index: number): number {
  const offset = offsets[index];
  if (offset === undefined) throw new RangeError(`no row ${index} among ${offsets.length - 1}`);
  return offset;
}
