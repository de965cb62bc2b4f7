import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { joinRows, readSourceOrder, splitRows } from '../../../../src/encode/rows/copy-rows.ts';
import { encodeText, UUID_COLUMNS } from './copy-stream-reader.ts';

/** What PostgreSQL itself sends for the same rows; the statement is beside it, in copy-events.sql. */
const GOLDEN = readFileSync(new URL('../../../golden/copy-events.hex', import.meta.url), 'utf8').replaceAll('\n', '');

const FIRST_SOURCE_ORDER = 17_179_869_184n;

/** jsonb is sent as PostgreSQL spells it, so the events have its spaces. */
const EVENTS = [
  `{"id":"af5c33c8-8aac-4aa0-9448-b07b52ddaf9f","sessionId":"0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c","userId":"{00000000000000000000000000000001}",
    "type":"page_view","name":"event_e8o287","properties":{"page": "/home"},"timestamp":1769541612369,
    "session":{"id":"0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c","deviceType":"mobile","browser":"Chrome"}}`,
  `{"id":"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF","type":"\\u00e9\\ud83d\\ude00\\n","name":"","timestamp":"1969-12-31T23:59:59.9999994Z",
    "properties":[1.10, 12345678901234567890, null, "é"],"level": {"a": [true, {}]}}`,
  '{"id":"00000000-0000-0000-0000-000000000000","timestamp":"294276-12-31 23:59:59.999999"}',
];

const page = encodeText(`{"data":[${EVENTS.join()}]}`, { ...UUID_COLUMNS, firstSourceOrder: FIRST_SOURCE_ORDER });
const rows = new Uint8Array(page.rows, 0, page.rowsBytes);

describe('the binary COPY stream', () => {
  it('is byte for byte what PostgreSQL sends for the same rows', () => {
    assert.equal(Buffer.from(rows).toString('hex'), GOLDEN);
  });

  it('can be split into rows and joined again, whole or in part', () => {
    const offsets = splitRows(rows);
    assert.equal(offsets.length, EVENTS.length + 1);
    assert.deepEqual(Buffer.from(joinRows(rows, offsets, 0, EVENTS.length)), Buffer.from(rows));
    const last = joinRows(rows, offsets, 2, 3);
    const lastOffsets = splitRows(last);
    assert.equal(lastOffsets.length, 2);
    assert.equal(readSourceOrder(last, lastOffsets, 0), FIRST_SOURCE_ORDER + 2n);
    assert.deepEqual([...splitRows(joinRows(rows, offsets, 1, 1))], [19]);
  });

  it('shows by its source order which event a row came from', () => {
    const offsets = splitRows(rows);
    assert.deepEqual(
      [0, 1, 2].map((row) => readSourceOrder(rows, offsets, row) - FIRST_SOURCE_ORDER),
      [0n, 1n, 2n],
    );
  });

  it('is refused when it was cut, or when something follows it', () => {
    for (const length of [0, 19, 60, rows.length - 1]) {
      assert.throws(() => splitRows(rows.subarray(0, length)), RangeError, `cut to ${length}`);
    }
    assert.throws(() => splitRows(Uint8Array.of(...rows, 0)), RangeError);
  });

  it('is read within the given bytes of a larger buffer', () => {
    assert.deepEqual(splitRows(new Uint8Array(page.rows), page.rowsBytes), splitRows(rows));
  });
});
