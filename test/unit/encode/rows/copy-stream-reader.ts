import assert from 'node:assert/strict';

import { splitRows, readSourceOrder } from '../../../../src/encode/rows/copy-rows.ts';
import { encodePage, type PageEncoding } from '../../../../src/encode/encode-page.ts';
import { COPY_COLUMNS } from '../../../../src/encode/rows/event-columns.ts';
import type { EventEncoderOptions } from '../../../../src/encode/rows/event-encoder.ts';

/**
 * A row of a binary COPY stream as a person reads it: uuids and texts as text, jsonb as its exact text, times as µs
 * since 1970.
 */
export interface ReadRow {
  id: string | null;
  session_id: string | null;
  user_id: string | null;
  type: string | null;
  name: string | null;
  properties: string | null;
  occurred_at: bigint | null;
  device_type: string | null;
  browser: string | null;
  extra: string | null;
  source_order: bigint | null;
}

export const UUID_COLUMNS: EventEncoderOptions = {
  idColumnTypes: { id: 'uuid', sessionId: 'uuid', userId: 'uuid' },
  firstSourceOrder: 0n,
  maxEventBytes: 16 * 1024 * 1024,
};

export const TEXT_COLUMNS: EventEncoderOptions = {
  ...UUID_COLUMNS,
  idColumnTypes: { id: 'text', sessionId: 'text', userId: 'text' },
};

/** UTF-8 in an ArrayBuffer of its own. */
export function bytesOf(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(typeof text === 'string' ? new TextEncoder().encode(text) : text);
}

export function encodeText(text: string, options: EventEncoderOptions = TEXT_COLUMNS): PageEncoding {
  const page = encodePage(bytesOf(text), options);
  if ('fault' in page) assert.fail(`a page, got ${page.fault}: ${page.detail}`);
  return page;
}

/** The rows of a page of the given events, each JSON text. */
export function rowsOf(events: readonly string[], options: EventEncoderOptions = TEXT_COLUMNS): ReadRow[] {
  return readRows(encodeText(`{"data":[${events.join(',')}]}`, options), options);
}

export function readRows(page: PageEncoding, options: EventEncoderOptions): ReadRow[] {
  const rows = new Uint8Array(page.rows, 0, page.rowsBytes);
  const offsets = splitRows(rows);
  assert.equal(offsets.length - 1, page.rowCount);
  return Array.from({ length: page.rowCount }, (_, row) => {
    assert.equal(readSourceOrder(rows, offsets, row), readRow(rows, offsets[row] ?? 0, options).source_order);
    return readRow(rows, offsets[row] ?? 0, options);
  });
}

function readRow(rows: Uint8Array, start: number, options: EventEncoderOptions): ReadRow {
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  let at = start + 2;
  const fields = COPY_COLUMNS.map(() => {
    const length = view.getInt32(at);
    const field = length < 0 ? null : rows.subarray(at + 4, at + 4 + length);
    at += 4 + Math.max(length, 0);
    return field;
  });
  const [id, sessionId, userId, type, name, properties, occurredAt, deviceType, browser, extra, sourceOrder] = fields;
  const { idColumnTypes } = options;
  return {
    id: idColumnTypes.id === 'uuid' ? uuidOf(id) : textOf(id),
    session_id: idColumnTypes.sessionId === 'uuid' ? uuidOf(sessionId) : textOf(sessionId),
    user_id: idColumnTypes.userId === 'uuid' ? uuidOf(userId) : textOf(userId),
    type: textOf(type),
    name: textOf(name),
    properties: jsonbOf(properties),
    occurred_at: timeOf(occurredAt),
    device_type: textOf(deviceType),
    browser: textOf(browser),
    extra: jsonbOf(extra),
    source_order: int64Of(sourceOrder),
  };
}

type Field = Uint8Array | null | undefined;

function textOf(field: Field): string | null {
  return field ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(field) : null;
}

function uuidOf(field: Field): string | null {
  if (!field) return null;
  assert.equal(field.length, 16);
  return Buffer.from(field)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function jsonbOf(field: Field): string | null {
  if (!field) return null;
  assert.equal(field[0], 1);
  return textOf(field.subarray(1));
}

function int64Of(field: Field): bigint | null {
  if (!field) return null;
  assert.equal(field.length, 8);
  return new DataView(field.buffer, field.byteOffset, 8).getBigInt64(0);
}

function timeOf(field: Field): bigint | null {
  const sincePostgresEpoch = int64Of(field);
  return sincePostgresEpoch === null ? null : sincePostgresEpoch + 946_684_800_000_000n;
}
