import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { TEXT_COLUMNS, UUID_COLUMNS } from '../../unit/encode/rows/copy-stream-reader.ts';
import { encode, encoderDatabase, load } from './copy.ts';

const SAMPLES = 4000;

/** Many values at once, because a statement a value would be slow; a failing seed goes into SEED to see it again. */
const SEED: number | undefined = undefined;
function samplesOf(value: fc.Arbitrary<string>): string[] {
  return fc.sample(value, { numRuns: SAMPLES, ...(SEED === undefined ? {} : { seed: SEED }) });
}

/** Only what differs, so that a failure can be read. */
function assertSame(
  values: readonly string[],
  got: readonly (string | null | undefined)[],
  expected: readonly (string | null)[],
): void {
  assert.equal(got.length, expected.length);
  const different = values.flatMap((value, index) =>
    got[index] === expected[index]
      ? []
      : [`${value}: expected ${expected[index] ?? 'null'}, got ${got[index] ?? 'null'}`],
  );
  assert.deepEqual(different.slice(0, 20), []);
}

/** Options that make both halves of `source_order` matter. */
const OPTIONS = { ...TEXT_COLUMNS, firstSourceOrder: 4_294_967_290n };

describe('values in PostgreSQL, against its own reading of the same text', () => {
  it('takes exactly the spellings of a UUID that $1::uuid takes, for the same value', async (t) => {
    const client = await encoderDatabase(t);
    const digit = fc.constantFrom(...'0123456789abcdefABCDEF'.split(''));
    const hyphen = fc.constantFrom('', '', '-', '--', ' ', 'g', '{');
    const anySpelling = fc
      .tuple(fc.array(digit, { minLength: 32, maxLength: 32 }), fc.array(hyphen, { minLength: 9, maxLength: 9 }))
      .map(([digits, between]) =>
        digits.map((char, at) => (at % 4 === 0 ? (between[at / 4] ?? '') : '') + char).join(''),
      );
    const uuid = fc.oneof(
      fc.uuid(),
      fc.uuid().map((text) => text.toUpperCase()),
      anySpelling.map((text) => text.trim()),
      fc
        .tuple(fc.uuid(), fc.nat(36), fc.constantFrom('-', '{', '}', '', 'x', 'ä'))
        .map(([text, at, other]) => text.slice(0, at) + other + text.slice(at + 1)),
      fc
        .tuple(fc.constantFrom('{', '', '{{'), fc.uuid(), fc.constantFrom('}', '', '-}'))
        .map((parts) => parts.join('')),
      fc
        .tuple(
          fc.constantFrom('{', ''),
          fc.uuid().map((text) => text.replaceAll('-', '')),
          fc.constantFrom('}', ''),
        )
        .map((parts) => parts.join('')),
    );
    const texts = samplesOf(uuid);
    const events = texts.map((text) => JSON.stringify({ id: text }));
    const rows = await load(client, encode(events, UUID_COLUMNS), UUID_COLUMNS);
    const { rows: own } = await client.query<{ id: string | null }>(
      'SELECT try_uuid(t) AS id FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n',
      [texts],
    );
    const idAt = new Map(rows.map(({ position, id }) => [position, id]));
    assertSame(
      texts,
      texts.map((_, position) => idAt.get(position) ?? null),
      own.map(({ id }) => id),
    );
  });

  it('reads an ISO time as $1::timestamptz reads it, to the microsecond, and refuses what it refuses', async (t) => {
    const client = await encoderDatabase(t);
    const two = (max: number): fc.Arbitrary<string> =>
      fc.integer({ min: 0, max }).map((number) => String(number).padStart(2, '0'));
    const year = fc.oneof(
      fc.integer({ min: 1960, max: 2040 }),
      fc.integer({ min: 0, max: 9999 }),
      fc.integer({ min: 294_270, max: 294_278 }),
    );
    // Not 2026-366, which PostgreSQL takes for the first day of 2027.
    const date = fc.oneof(
      fc
        .tuple(
          year.map((number) => String(number).padStart(4, '0')),
          two(13),
          two(32),
        )
        .map((parts) => parts.join('-')),
      fc.constantFrom('2024-02-29', '2026-02-29', '2000-02-29', '1900-02-29', '2026-12-31', '2024-366', '2026-001'),
    );
    const time = fc.oneof(
      fc.tuple(two(24), two(60), two(61)).map((parts) => parts.join(':')),
      fc.tuple(two(23), two(59)).map((parts) => parts.join(':')),
      // Not 193705: after a time without colons PostgreSQL refuses zones that ISO 8601 allows.
      fc.constantFrom('24:00:00', '23:59:60', '00:00:60', '00:00:00'),
    );
    const fraction = fc.oneof(
      fc.constant(''),
      fc.array(fc.nat(9), { maxLength: 14 }).map((digits) => `.${digits.join('')}`),
      fc
        .tuple(fc.nat(999_999), fc.constantFrom('5', '50', '500001', '4999999', '49999999999999999999'))
        .map(([digits, rest]) => `.${String(digits).padStart(6, '0')}${rest}`),
    );
    const zone = fc.oneof(
      fc.constantFrom(
        '',
        '',
        'Z',
        'z',
        ' Z',
        '+00',
        '-00:00',
        '+05:30',
        '+0530',
        '-5',
        '+530',
        '+15:59',
        '-15:59:59',
        '+16:00',
        '+14:60',
        ' +02:00',
        ' UTC',
      ),
      fc.tuple(fc.constantFrom('+', '-'), two(16), fc.constantFrom(':', ''), two(60)).map((parts) => parts.join('')),
    );
    const separator = fc.constantFrom('T', 't', ' ', '  ');
    const seconds = fc.constantFrom(true, true, true, false);
    const iso = fc
      .tuple(date, separator, time, fraction, zone, seconds)
      .map(([day, between, hours, part, offset, withFraction]) => {
        const canHaveFraction = withFraction && hours.length === 8;
        return day + between + hours + (canHaveFraction ? part : '') + offset;
      });
    const text = fc.oneof({ weight: 10, arbitrary: iso }, { weight: 1, arbitrary: date });
    const texts = samplesOf(text);
    const events = texts.map((timestamp) => JSON.stringify({ id: 'e', timestamp }));
    const page = encode(events, OPTIONS);
    const rows = await load(client, page, OPTIONS);
    const { rows: own } = await client.query<{ us: string | null }>(
      'SELECT try_time(t) AS us FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n',
      [texts],
    );
    assertSame(
      texts,
      rows.map(({ occurred_at_us: us }) => us),
      own.map(({ us }) => us),
    );
    const refused = own.filter(({ us }) => us === null).length;
    assert.equal(page.anomalies.filter(({ reason }) => reason === 'not-a-time').length, refused);
  });

  it('reads an epoch number by its magnitude exactly as numeric arithmetic does, as a number and as digits in a string', async (t) => {
    const client = await encoderDatabase(t);
    const magnitude = fc.oneof(
      fc.bigInt({ min: 0n, max: 10n ** 20n }),
      fc.integer({ min: 0, max: 21 }).map((exponent) => 10n ** BigInt(exponent)),
      fc.integer({ min: 1, max: 21 }).map((exponent) => 10n ** BigInt(exponent) - 1n),
      fc.bigInt({ min: 1_700_000_000_000n, max: 1_800_000_000_000n }),
      fc.bigInt({ min: 9_223_372_036n * 10n ** 12n, max: 9_224_318_017n * 10n ** 12n }),
    );
    const fraction = fc.oneof(
      fc.constant(''),
      fc.constant('.5'),
      fc.array(fc.nat(9), { minLength: 1, maxLength: 12 }).map((digits) => `.${digits.join('')}`),
    );
    const number = fc
      .tuple(fc.constantFrom('', '', '-'), magnitude, fraction, fc.constantFrom('', '', 'e0', 'E+2', 'e-3'))
      .map(([sign, whole, part, exponent]) => `${sign}${whole}${part}${exponent}`);
    // The contract in SQL: the unit by size, µs rounded half to even, null out of range.
    const sql = `
      SELECT CASE WHEN us >= -210866803200000000 AND us < 9224318016000000000 THEN us::numeric(30, 0)::text END AS us
      FROM (
        SELECT n, floor(exact) + CASE WHEN exact - floor(exact) > 0.5 OR (exact - floor(exact) = 0.5 AND floor(exact) % 2 <> 0) THEN 1 ELSE 0 END AS us
        FROM (
          SELECT n, v * CASE WHEN abs(v) < 1e11 THEN 1e6 WHEN abs(v) < 1e14 THEN 1e3 WHEN abs(v) < 1e17 THEN 1 ELSE 0.001 END AS exact
          FROM unnest($1::numeric[]) WITH ORDINALITY AS u(v, n)
        ) AS scaled
      ) AS rounded ORDER BY n`;
    const numbers = samplesOf(number);
    const asNumbers = await load(
      client,
      encode(
        numbers.map((value) => `{"id":"e","timestamp":${value}}`),
        OPTIONS,
      ),
      OPTIONS,
    );
    const asTexts = await load(
      client,
      encode(
        numbers.map((value) => `{"id":"e","timestamp":" ${value}"}`),
        OPTIONS,
      ),
      OPTIONS,
    );
    const { rows: own } = await client.query<{ us: string | null }>(sql, [numbers]);
    const expected = own.map(({ us }) => us);
    assertSame(
      numbers,
      asNumbers.map(({ occurred_at_us: us }) => us),
      expected,
    );
    assertSame(
      numbers,
      asTexts.map(({ occurred_at_us: us }) => us),
      expected,
    );
  });

  it('stores properties as $1::jsonb reads them, and repairs exactly what it refuses', async (t) => {
    const client = await encoderDatabase(t);
    const escape = fc.constantFrom(
      '\\u0000',
      '\\ud83d',
      '\\ude00',
      '\\ud83d\\ude00',
      '\\n',
      '\\/',
      '\\\\u0000',
      '\\u00e9',
      'ä',
      '€',
      '😀',
      'a',
      '\\"',
      '\\uFFFF',
    );
    const string = fc.array(escape, { maxLength: 6 }).map((parts) => `"${parts.join('')}"`);
    const number = fc.oneof(
      fc.constantFrom(
        '1e131071',
        '1e131072',
        '1e-16383',
        '1e-16384',
        '0e-16384',
        '0e999',
        '-0',
        '-0.0',
        '1.10',
        '9007199254740993',
        '1e400',
        '12e-16383',
        '0.00001e131076',
        '0.00001e131077',
      ),
      fc
        .tuple(fc.maxSafeInteger(), fc.nat(99), fc.integer({ min: -20_000, max: 140_000 }))
        .map(([whole, part, exponent]) => `${whole}.${part}e${exponent}`),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    );
    const { value } = fc.letrec<{ value: string }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        fc.oneof(string, number, fc.constantFrom('true', 'false', 'null')),
        fc.array(tie('value'), { maxLength: 4 }).map((values) => `[${values.join(' ,')}]`),
        fc
          .array(fc.tuple(string, tie('value')), { maxLength: 4 })
          .map((members) => `{ ${members.map(([key, member]) => `${key}:\t${member}`).join(',')}\n}`),
      ),
    }));
    const values = samplesOf(value);
    const page = encode(
      values.map((properties, index) => `{"id":"${index}","properties":${properties}}`),
      OPTIONS,
    );
    const rows = await load(client, page, OPTIONS);
    const { rows: own } = await client.query<{ json: string | null }>(
      'SELECT try_jsonb(t) AS json FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n',
      [values],
    );
    // PostgreSQL refuses no key that comes twice.
    const repairs = page.anomalies.filter(({ reason }) => reason !== 'key-doubled');
    const repaired = new Set(repairs.map(({ position }) => position));
    for (const [index, { json }] of own.entries()) {
      assert.equal(repaired.has(index), json === null, values[index]);
    }
    assertSame(
      values,
      rows.map(({ properties }, index) => (repaired.has(index) ? null : properties)),
      own.map(({ json }) => json),
    );
  });
});
