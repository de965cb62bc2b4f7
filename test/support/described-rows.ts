/**
 * What a table must hold of records, by the words of their description: read anew from its file, and compared with the table by
 * PostgreSQL, which alone knows how it prints a value.
 */
import assert from 'node:assert/strict';
import { parse } from 'yaml';
import { z } from 'zod';
import type { TestDatabase } from './database.ts';
import { Digits, jsonText, type Json, type JsonObject } from './vendors/vendor.ts';

/** How many wrong rows a failure shows. */
const MAX_WRONG = 3;
const ROWS_AT_ONCE = 1_000;

const PATH = z.array(z.string());
const DESCRIPTION = z.object({
  name: z.string(),
  table: z.string().optional(),
  id: PATH,
  time: z.object({ path: PATH, format: z.enum(['iso', 's', 'ms']) }).optional(),
  columns: z.record(z.string(), z.object({ path: PATH, type: z.string() })),
});

type ColumnOfRecord = { readonly name: string; readonly path: readonly string[]; readonly type: string };
type Row = Readonly<Record<string, string | null>>;

/** Every record is one row, each of its values digit for digit, and there is no other row. */
export async function assertRows(
  database: Pick<TestDatabase, 'query'>,
  description: string,
  records: readonly JsonObject[],
): Promise<void> {
  const words = DESCRIPTION.parse(parse(description));
  const table = words.table ?? words.name.replaceAll('-', '_');
  const columns = columnsOf(words);
  const wrong: string[] = [];
  for (let from = 0; from < records.length && wrong.length < MAX_WRONG; from += ROWS_AT_ONCE) {
    const rows = records.slice(from, from + ROWS_AT_ONCE).map((record) => rowOf(record, columns));
    const found = await database.query<Row>(wrongRowsSql(table, columns), [JSON.stringify(rows)]);
    wrong.push(...found.rows.map((row) => JSON.stringify(row)));
  }
  const { rows: counts } = await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM "${table}"`);
  assert.deepEqual(wrong.slice(0, MAX_WRONG), [], `rows of ${table} are wrong; it has ${counts[0]?.n ?? 0}`);
  assert.equal(counts[0]?.n, records.length);
}

function columnsOf({ id, time, columns }: z.output<typeof DESCRIPTION>): ColumnOfRecord[] {
  const named = Object.entries(columns).map(([name, column]) => ({ name, ...column }));
  const isShown = named.some(({ path }) => path.join('\n') === time?.path.join('\n'));
  return [
    ...(named.some(({ name }) => name === 'id') ? [] : [{ name: 'id', path: id, type: 'text' }]),
    ...(time === undefined || isShown ? [] : [{ name: 'occurred_at', path: time.path, type: 'timestamptz' }]),
    ...named,
  ];
}

/** Each column as PostgreSQL reads it, a time in microseconds; what no column shows is in `extra`. */
function rowOf(record: JsonObject, columns: readonly ColumnOfRecord[]): Row {
  const shown = columns.map(({ name, path, type }) => ({ name, path, value: shownOf(valueAt(record, path), type) }));
  const isShown = (path: readonly string[]): boolean =>
    shown.some((column) => column.value !== null && column.path.join('\n') === path.join('\n'));
  const rest = withoutShown(record, [], isShown);
  return {
    ...Object.fromEntries(shown.map(({ name, value }) => [name, value])),
    extra: rest === undefined ? null : jsonText(rest),
  };
}

/** `null` where the column cannot show the value: it stays in `extra`. A jsonb shows a null, too. */
function shownOf(value: Json | undefined, type: string): string | null {
  if (value === undefined || (value === null && type !== 'jsonb')) return null;
  const isNumber = typeof value === 'number' || value instanceof Digits;
  switch (type) {
    case 'jsonb':
      return jsonText(value);
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : null;
    case 'bigint':
      return isNumber && /^-?\d+$/.test(jsonText(value)) ? jsonText(value) : null;
    case 'timestamptz':
      return isNumber ? microsOf(jsonText(value)) : typeof value === 'string' ? microsOf(value) : null;
    default:
      return typeof value === 'string' ? value : null;
  }
}

/** ISO 8601, or seconds of the epoch with a fraction. */
function microsOf(time: string): string {
  const [written = '', fraction = ''] = /\.(\d+)/.exec(time) ?? [];
  const whole = time.replace(written, '');
  const seconds = /^\d+$/.test(whole) ? BigInt(whole) : BigInt(Date.parse(whole)) / 1_000n;
  return String(seconds * 1_000_000n + BigInt(fraction.padEnd(6, '0')));
}

function valueAt(record: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = record;
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  return value;
}

/** An object of which a column shows everything is gone. */
function withoutShown(
  object: JsonObject,
  at: readonly string[],
  isShown: (path: readonly string[]) => boolean,
): JsonObject | undefined {
  const members = Object.entries(object).flatMap(([key, value]): [string, Json][] => {
    const path = [...at, key];
    if (isShown(path)) return [];
    const rest = isObject(value) && Object.keys(value).length > 0 ? withoutShown(value, path, isShown) : value;
    return rest === undefined ? [] : [[key, rest]];
  });
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Digits);
}

/** The rows that are missing or differ, as expected and as found. */
function wrongRowsSql(table: string, columns: readonly ColumnOfRecord[]): string {
  const all = [...columns, { name: 'extra', type: 'jsonb' }];
  const pairs = all.map(({ name, type }) => {
    const isTime = type === 'timestamptz';
    const found = isTime ? `round(extract(epoch FROM t."${name}") * 1000000)::bigint::text` : `t."${name}"::text`;
    return { name, found, expected: isTime ? `e."${name}"` : `e."${name}"::${type}::text` };
  });
  const differs = pairs.map(({ found, expected }) => `${found} IS DISTINCT FROM ${expected}`).join(' OR ');
  const shown = pairs.map(
    ({ name, found, expected }) =>
      `CASE WHEN ${found} IS DISTINCT FROM ${expected} THEN jsonb_build_object('is', ${found}, 'expected', ${expected}) END AS "${name}"`,
  );
  return `
    SELECT e.id AS of_record, ${shown.join(', ')}
      FROM jsonb_to_recordset($1) AS e(${all.map(({ name }) => `"${name}" text`).join(', ')})
      LEFT JOIN "${table}" t ON t.id::text = e.id
     WHERE t.id IS NULL OR ${differs} LIMIT ${MAX_WRONG}`;
}
