/**
 * Damaged pages, for as long as FUZZ_SECONDS (60 unless set) lets it: whatever the bytes, the scanner must agree with
 * JSON.parse on whether it is JSON, and the rows with JSON.parse on the values. Prints its seed; FUZZ_SEED runs one
 * again.
 */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { encodePage } from '../../src/encode/encode-page.ts';
import { bytesOf, type ReadRow, readRows, TEXT_COLUMNS } from '../unit/encode/rows/copy-stream-reader.ts';

const BUDGET_MS = Number(process.env['FUZZ_SECONDS'] ?? 60) * 1000;
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const KEYS = [
  'id',
  'eventId',
  'sessionId',
  'userId',
  'type',
  'eventType',
  'name',
  'properties',
  'timestamp',
  'occurredAt',
  'session',
  'x',
  'ä"\\',
];

const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\0', '\ud800', '\udc00\ud800', 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f', '2026-01-27T19:20:12.369Z'),
  fc.jsonValue({ maxDepth: 3 }),
  fc.integer({ min: 1_700_000_000_000, max: 1_800_000_000_000 }),
);
const event = fc.oneof(
  { weight: 20, arbitrary: fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), value) },
  { weight: 1, arbitrary: value },
);
const page = fc.record({
  data: fc.array(event, { maxLength: 6 }),
  pagination: fc.jsonValue({ maxDepth: 1 }),
  hasMore: fc.boolean(),
});

interface Damage {
  at: number;
  drop: number;
  insert: number[];
}

const structural = fc.constantFrom(...Buffer.from('{}[],:"\\u0deE+-. \t\n'));
const damage = fc.array(
  fc.record({
    at: fc.nat(),
    drop: fc.integer({ min: 0, max: 3 }),
    insert: fc.array(fc.oneof(structural, fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
  }),
  { maxLength: 3 },
);

function damaged(bytes: Uint8Array, damages: readonly Damage[]): Uint8Array {
  let result = [...bytes];
  for (const { at, drop, insert } of damages) {
    const start = at % (result.length + 1);
    result = [...result.slice(0, start), ...insert, ...result.slice(start + drop)];
  }
  return Uint8Array.from(result);
}

function parsed(bytes: Uint8Array): { value: unknown } | null {
  if (!isUtf8(bytes)) return null;
  try {
    return { value: JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown };
  } catch {
    return null;
  }
}

function member(of: unknown, key: string): unknown {
  return typeof of === 'object' && of !== null && !Array.isArray(of)
    ? Object.entries(of).find(([name]) => name === key)?.[1]
    : undefined;
}

/** As it must be in a text column. */
function stored(text: unknown): string | null {
  if (typeof text !== 'string') return null;
  return Array.from(text, (character) => (/^[\0\ud800-\udfff]$/.test(character) ? '\ufffd' : character)).join('');
}

function check(bytes: Uint8Array): void {
  const result = encodePage(bytesOf(bytes), TEXT_COLUMNS);
  const reference = parsed(bytes);
  const isJson = !('fault' in result) || result.fault === 'no-events' || result.fault === 'error-object';
  assert.equal(isJson, reference !== null, 'fault' in result ? result.detail : 'taken for JSON');
  if ('fault' in result || reference === null) return;
  const data = member(reference.value, 'data');
  assert.ok(Array.isArray(data));
  assert.equal(result.servedCount, data.length);
  assert.equal(result.rowCount + result.rejectedCount, data.length);
  const rejected = new Set(result.anomalies.filter(({ kind }) => kind === 'rejected').map(({ position }) => position));
  const rows = readRows(result, TEXT_COLUMNS);
  const kept = (data as unknown[]).filter((_, position) => !rejected.has(position));
  for (const [index, row] of rows.entries()) checkRow(row, kept[index]);
  for (const { position, original } of result.anomalies) {
    assert.deepEqual(JSON.parse(Buffer.from(original).toString('utf8')), (data as unknown[])[position]);
  }
}

function checkRow(row: ReadRow, source: unknown): void {
  assert.equal(row.name, stored(member(source, 'name')));
  assert.equal(row.device_type, stored(member(member(source, 'session'), 'deviceType')));
  const properties = member(source, 'properties');
  if (properties === undefined) assert.equal(row.properties, null);
  else assert.ok(row.properties !== null && parsed(bytesOf(row.properties)) !== null);
  if (row.extra !== null) assert.ok(parsed(bytesOf(row.extra)) !== null);
  assert.doesNotMatch(`${row.properties ?? ''}${row.extra ?? ''}`, /(?<!\\)(?:\\\\)*\\u0000/);
}

describe('damaged pages', () => {
  it(`never split the scanner from JSON.parse (seed ${SEED})`, { timeout: BUDGET_MS + 60_000 }, (t) => {
    const details = fc.check(
      fc.property(page, damage, fc.boolean(), (document, damages, indented) => {
        const text = JSON.stringify(document, null, indented ? 1 : 0);
        check(damaged(bytesOf(text), damages));
      }),
      {
        seed: SEED,
        numRuns: Number.MAX_SAFE_INTEGER,
        interruptAfterTimeLimit: BUDGET_MS,
        markInterruptAsFailure: false,
      },
    );
    assert.equal(details.failed, false, fc.defaultReportMessage(details));
    assert.ok(details.numRuns > 0);
    t.diagnostic(`${details.numRuns} documents`);
  });
});
