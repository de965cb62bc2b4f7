import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ColumnType, TimeFormat } from '../../../../src/core/column-plan.ts';
import { encoded, planOf } from './planned-records.ts';

const OTHER_TYPE = 'value-of-another-type';
const UNFIT = 'number-does-not-fit';
const NOT_A_TIME = 'not-a-time';
const UUID = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';

/** A value in JSON, what its column shows, and an anomaly if there is one; `extra`: it goes there as well. */
type Case = readonly [type: ColumnType, value: string, shown: string | null, note?: string | { readonly extra: true }];

const EXTRA = { extra: true } as const;

const CASES: readonly Case[] = [
  ['bigint', '0', '0'],
  ['bigint', '-1', '-1'],
  ['bigint', '4294967296', '4294967296'],
  ['bigint', '-4294967297', '-4294967297'],
  ['bigint', '9007199254740993', '9007199254740993'],
  ['bigint', '9223372036854775807', '9223372036854775807'],
  ['bigint', '-9223372036854775808', '-9223372036854775808'],
  ['bigint', '9223372036854775808', null, UNFIT],
  ['bigint', '1e3', '1000'],
  ['bigint', '12.0', '12'],
  ['bigint', '1200e-2', '12'],
  ['bigint', '0.5', null, UNFIT],
  ['bigint', '1e400', null, UNFIT],
  ['bigint', '"123456789012345678"', '123456789012345678', EXTRA],
  ['bigint', '"007"', '7', EXTRA],
  ['bigint', '"7 apples"', null, OTHER_TYPE],
  ['bigint', '""', null, OTHER_TYPE],
  ['bigint', 'true', null, OTHER_TYPE],
  ['bigint', '[1]', null, OTHER_TYPE],
  ['numeric', '0', '0'],
  ['numeric', '-0.0', '0.0'],
  ['numeric', '0.1000', '0.1000'],
  ['numeric', '10000', '10000'],
  ['numeric', '1.10', '1.10'],
  ['numeric', '-12345678901234567890.000012345', '-12345678901234567890.000012345'],
  ['numeric', '100000000.00000001', '100000000.00000001'],
  ['numeric', '1e400', `1${'0'.repeat(400)}`],
  ['numeric', '1.5E-7', '0.00000015'],
  ['numeric', '1.10e1', '11.0'],
  ['numeric', '12.34e5', '1234000'],
  ['numeric', '-0.00009999', '-0.00009999'],
  ['numeric', `0.${'0'.repeat(30)}1`, `0.${'0'.repeat(30)}1`],
  ['numeric', '"12.50"', '12.50', EXTRA],
  ['numeric', '"NaN"', null, OTHER_TYPE],
  ['numeric', '{}', null, OTHER_TYPE],
  ['boolean', 'true', 'true'],
  ['boolean', 'false', 'false'],
  ['boolean', '"true"', null, OTHER_TYPE],
  ['boolean', '0', null, OTHER_TYPE],
  ['text', '"a\\u0062"', 'ab'],
  ['text', '""', ''],
  ['text', '1.50', null, OTHER_TYPE],
  ['text', 'false', null, OTHER_TYPE],
  ['uuid', `"${UUID}"`, UUID],
  ['uuid', `"${UUID.toUpperCase()}"`, UUID],
  ['uuid', '"evt-1"', null, OTHER_TYPE],
  ['uuid', '5', null, OTHER_TYPE],
  ['jsonb', '{"a":[1.10,1e400]}', '{"a":[1.10,1e400]}'],
  ['jsonb', '"x\\n"', '"x\\n"'],
  ['jsonb', '9007199254740993', '9007199254740993'],
  ['jsonb', 'null', 'null'],
];

describe('a column of type', () => {
  for (const [type, value, shown, note] of CASES) {
    it(`${type} has ${shown ?? 'null'} for ${value.slice(0, 40)}`, () => {
      const plan = planOf({ columns: [{ name: 'v', type, path: ['v'] }] });
      const { rows, anomalies } = encoded(plan, [`{"id":"e","v":${value}}`]);
      assert.deepEqual(anomalies, typeof note === 'string' ? [`v ${note}`] : []);
      assert.deepEqual(rows, [{ id: 'e', v: shown, extra: note === undefined ? null : `{"v":${value}}` }]);
    });
  }

  it('any has null for what is not there, and for a null, which extra tells from that', () => {
    for (const type of ['text', 'uuid', 'bigint', 'numeric', 'boolean', 'timestamptz'] as const) {
      const plan = planOf({ columns: [{ name: 'v', type, path: ['v'] }] });
      const { rows, anomalies } = encoded(plan, ['{"id":"e"}', '{"id":"f","v":null}']);
      assert.deepEqual(anomalies, []);
      assert.deepEqual(rows, [
        { id: 'e', v: null, extra: null },
        { id: 'f', v: null, extra: '{"v":null}' },
      ]);
    }
  });

  it('numeric takes no number that PostgreSQL does not hold', () => {
    const plan = planOf({ columns: [{ name: 'v', type: 'numeric', path: ['v'] }] });
    const { rows, anomalies } = encoded(plan, ['{"id":"e","v":1e131072}']);
    assert.deepEqual(rows, [{ id: 'e', v: null, extra: '{"v":"1e131072"}' }]);
    assert.deepEqual(anomalies, [`v ${UNFIT}`, 'extra number-out-of-range-kept-as-text']);
  });
});

/** Of a second in January 2026, µs. */
const SECOND_US = '1767225600000000';

const TIMES: readonly (readonly [format: TimeFormat, value: string, shown: string | null])[] = [
  ['iso', '"2026-01-01T00:00:00Z"', SECOND_US],
  ['iso', '"2026-01-01T01:00:00.123456+01:00"', '1767225600123456'],
  ['iso', '"1767225600"', null],
  ['iso', '1767225600', null],
  ['s', '1767225600', SECOND_US],
  ['s', '1767225600.000005', '1767225600000005'],
  ['s', '"1767225600.000005"', '1767225600000005'],
  ['s', '99999999999', '99999999999000000'],
  ['s', '0', '0'],
  ['s', '-1', '-1000000'],
  ['s', '20260101000000', null],
  ['s', '"2026-01-01T00:00:00Z"', null],
  ['ms', '1767225600123', '1767225600123000'],
  ['ms', '5', '5000'],
  ['ms', '1767225600123.4567', '1767225600123457'],
  ['ms', '20260101000000', '20260101000000000'],
  ['ms', 'true', null],
  ['any', '1767225600', SECOND_US],
  ['any', '1767225600000', SECOND_US],
  ['any', '"2026-01-01T00:00:00Z"', SECOND_US],
];

describe('a time', () => {
  for (const [format, value, shown] of TIMES) {
    it(`in the format ${format} is ${shown ?? 'none'} for ${value}`, () => {
      const plan = planOf({ columns: [{ name: 'at', type: 'timestamptz', path: ['at'], format }], time: 'at' });
      const { rows, anomalies } = encoded(plan, [`{"id":"e","at":${value}}`]);
      assert.deepEqual(rows, [{ id: 'e', at: shown, extra: shown === null ? `{"at":${value}}` : null }]);
      assert.deepEqual(anomalies, shown === null ? [`at ${NOT_A_TIME}`] : []);
    });
  }

  it('of one column is not that of another', () => {
    const plan = planOf({
      columns: [
        { name: 'created', type: 'timestamptz', path: ['created'], format: 's' },
        { name: 'updated', type: 'timestamptz', path: ['times', 'updated'], format: 'iso' },
      ],
      time: 'updated',
    });
    const { rows } = encoded(plan, ['{"id":"e","times":{"updated":"2026-01-01T00:00:00Z"},"created":1}', '{"id":"f"}']);
    assert.deepEqual(rows, [
      { id: 'e', created: '1000000', updated: SECOND_US, extra: null },
      { id: 'f', created: null, updated: null, extra: null },
    ]);
  });
});
