import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { rowsOf } from '../rows/copy-stream-reader.ts';

/** µs since 1970 of the event's time; null: not a time. */
function timeOf(json: string): bigint | null {
  return rowsOf([`{"id":"e","timestamp":${json}}`])[0]?.occurred_at ?? null;
}

const US = 1_769_541_612_369_000n;
const DAY_US = 1_767_225_600_000_000n;

describe('a time', () => {
  const epochs: [string, bigint | null][] = [
    ['1769541612', 1_769_541_612_000_000n],
    ['1769541612369', US],
    ['1769541612369123', US + 123n],
    ['1769541612369123456', US + 123n],
    ['1769541612369123500', US + 124n],
    ['1769541612369122500', US + 122n],
    ['1769541612.369123', US + 123n],
    ['1769541612369.1235', US + 124n],
    ['1.769541612369e12', US],
    ['1769541612369e0', US],
    ['17695416123690E-1', US],
    ['-1769541612369', -US],
    ['0', 0n],
    ['-0', 0n],
    ['0.0000005', 0n],
    ['0.0000015', 2n],
    ['-1', -1_000_000n],
    ['99999999999', 99_999_999_999_000_000n],
    ['100000000000', 100_000_000_000_000n],
    ['99999999999999', 99_999_999_999_999_000n],
    ['100000000000000', 100_000_000_000_000n],
    ['99999999999999999', 99_999_999_999_999_999n],
    ['100000000000000000', 100_000_000_000_000n],
    ['1000000000000', 1_000_000_000_000_000n],
    ['9999999999999', 9_999_999_999_999_000n],
    ['9224318015999999999499', 9_224_318_015_999_999_999n],
    ['9224318015999999999500', null],
    ['-210866803200000000000', -210_866_803_200_000_000n],
    ['-210866803200000001000', null],
    ['1e400', null],
    ['1e-400', 0n],
    ['1e99999', null],
    [`1769541612369${'0'.repeat(500)}`, null],
    ['20260127192012', 1_769_541_612_000_000n],
    ['20260127192012369', US],
    ['20260127192012.369', US],
    ['20991231235959', 4_102_444_799_000_000n],
    ['20261327192012', 20_261_327_192_012_000n],
    ['21000101000000', 21_000_101_000_000_000n],
    ['true', null],
    ['[1769541612369]', null],
  ];
  for (const [json, expected] of epochs) {
    it(`of ${json.slice(0, 40)} is ${expected ?? 'none'}`, () => {
      assert.equal(timeOf(json), expected);
    });
  }

  it('in digits in a string is the same as the number', () => {
    for (const [json, expected] of epochs.filter(([text]) => /^[-\d]/.test(text))) {
      assert.equal(timeOf(`"${json}"`), expected, json);
      assert.equal(timeOf(`" ${json} "`), expected, json);
    }
    assert.equal(timeOf('"+1769541612369"'), US);
    assert.equal(timeOf('"20260101"'), 20_260_101_000_000n);
  });

  const texts: [string, bigint | null][] = [
    ['2026-01-27T19:20:12.369Z', US],
    ['2026-01-27T19:20:12.369123Z', US + 123n],
    ['2026-01-27T19:20:12.36912351Z', US + 124n],
    ['2026-01-27T19:20:12.369', US],
    ['2026-01-27t19:20:12,369z', US],
    ['2026-01-27 19:20:12.369+00', US],
    ['2026-01-28T00:50:12.369+05:30', US],
    ['2026-01-28T00:50:12.369+0530', US],
    ['2026-01-27T14:20:12.369-05', US],
    ['20260127T192012.369Z', US],
    ['2026-01-27T192012.369-00:00', US],
    ['+002026-01-27T19:20:12.369Z', US],
    ['2026-01-01', DAY_US],
    ['2026-01-01T00', DAY_US],
    ['2026-01-01T00:00Z', DAY_US],
    ['2026-001', DAY_US],
    ['2026-W01-4', DAY_US],
    ['2026W014T000000Z', DAY_US],
    ['2025-12-31T24:00:00Z', DAY_US],
    ['2025-12-31T23:59:60Z', DAY_US],
    ['2025-12-31T23:59:59.9999999Z', DAY_US],
    ['2024-02-29', 1_709_164_800_000_000n],
    ['0001-01-01T00:00:00Z', -62_135_596_800_000_000n],
    ['9999-12-31T23:59:59.999Z', 253_402_300_799_999_000n],
    ['2026-02-29', null],
    ['1900-02-29T00:00:00.000Z', null],
    ['2026-13-01T00:00:00.000Z', null],
    ['2026-00-01T00:00:00.000Z', null],
    ['2026-01-00T00:00:00.000Z', null],
    ['2026-04-31T00:00:00.000Z', null],
    ['2026-01-01T24:00:00.001Z', null],
    ['2026-01-01T24:00:01Z', null],
    ['2026-01-01T23:59:61Z', null],
    ['2026-01-01T00:60:00Z', null],
    ['2026-01-01T00:00:00.0a0Z', null],
    ['2026-01-01T00:00:00+16:00', null],
    ['2026-01-01T00:00:00+05:60', null],
    ['2026-W54-1', null],
    ['2025-366', null],
    ['0000-01-01T00:00:00.000Z', null],
    ['-000001-01-01T00:00:00Z', null],
    ['0044-03-15 BC', null],
    ['294277-01-01', null],
    ['infinity', null],
    ['now', null],
    ['', null],
    ['2026', 2_026_000_000n],
    ['2026-01', null],
    ['01/02/2026', null],
    ['2026-01-27T19:20:12.369Zx', null],
    ['２０２６-01-27', null],
    [`2026-01-01T00:00:00.${'0'.repeat(300)}Z`, DAY_US],
    [`2026-01-01T00:00:00.${'0'.repeat(3000)}Z`, null],
  ];
  for (const [text, expected] of texts) {
    it(`of '${text.slice(0, 40)}' is ${expected ?? 'none'}`, () => {
      assert.equal(timeOf(JSON.stringify(text)), expected);
    });
  }

  it('does not depend on the zone of the process', () => {
    const before = process.env['TZ'];
    try {
      for (const zone of ['Asia/Kolkata', 'America/New_York', 'UTC']) {
        process.env['TZ'] = zone;
        assert.equal(timeOf('"2026-01-27T19:20:12.369"'), US);
      }
    } finally {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    }
  });

  it('is read from the last of doubled timestamps', () => {
    const rows = rowsOf([
      '{"id":"a","timestamp":1769541612369,"timestamp":"nonsense"}',
      '{"id":"b","timestamp":"nonsense","timestamp":1769541612369}',
      '{"id":"c","timestamp":1769541612369,"timestamp":"2026-01-01T00:00:00.000Z"}',
      '{"id":"d","occurredAt":"2026-01-01T00:00:00.000Z","timestamp":1769541612369}',
      '{"id":"e","timestamp":1769541612369,"occurredAt":"2026-01-01T00:00:00.000Z"}',
    ]);
    assert.deepEqual(
      rows.map((row) => row.occurred_at),
      [null, US, DAY_US, US, US],
    );
  });
});
