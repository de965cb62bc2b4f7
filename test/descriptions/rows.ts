/**
 * What the table of a case may hold, by the words of its description: PostgreSQL writes both the rows and what is expected, because
 * it alone knows how it prints a value.
 */
import type { TestDatabase } from '../support/database.ts';
import { Digits, jsonText, type Json, type JsonObject } from '../support/vendors/vendor.ts';
import type { Case, ColumnType, Path, TimeWords, Words } from './drawn-case.ts';
import type { Entry } from './drawn-list.ts';
import { isAt, isObject, memberAt, type DrawnRecord } from './drawn-records.ts';
import { readTime } from './times.ts';

export interface Rows {
  /** Each a text of all its values. */
  readonly rows: readonly string[];
  /** Whose row such a text is, in any of its versions. */
  readonly everHad: ReadonlyMap<string, ReadonlySet<Entry>>;
  /** The bytes of what could be no row. */
  readonly rejected: ReadonlySet<string>;
  /** Of the records as they are now. */
  readonly newest: ReadonlySet<string>;
}

interface Column {
  readonly name: string;
  readonly path: Path;
  readonly type: ColumnType;
  /** Of the list's own time. */
  readonly format: TimeWords['format'] | null;
}

/** What a column shows of a value. A part of it stands in `extra` all the same. */
interface Shown {
  readonly text: string;
  readonly isWhole: boolean;
}

const REJECTED = `SELECT convert_from(original, 'UTF8') AS text FROM ingestion.anomaly WHERE kind = 'rejected'`;
const UNDEFINED_TABLE = '42P01';

export async function readRows(
  database: Pick<TestDatabase, 'query'>,
  { words }: Case,
  entries: readonly Entry[],
): Promise<Rows> {
  const columns = columnsOf(words);
  const versions = entries.flatMap((entry) =>
    entry.versions.filter(({ isJunk }) => !isJunk).map((record) => ({ entry, record })),
  );
  const expected = await expectedTexts(
    database,
    columns,
    versions.map(({ record }) => record),
  );
  const everHad = new Map<string, Set<Entry>>();
  const newest = new Set<string>();
  for (const [index, { entry, record }] of versions.entries()) {
    const text = expected[index] ?? '';
    everHad.set(text, (everHad.get(text) ?? new Set()).add(entry));
    if (entry.record === record && !entry.isGone) newest.add(text);
  }
  const rejected = new Set(await textsOf(database, REJECTED));
  return { rejected, rows: await tableTexts(database, words, columns), everHad, newest };
}

function columnsOf({ id, time, columns = {} }: Words): Column[] {
  const formatAt = (path: Path): Column['format'] => (isAt(path, time?.path) ? (time?.format ?? null) : null);
  const named = Object.entries(columns).map(([name, column]): Column => ({
    name,
    ...column,
    format: formatAt(column.path),
  }));
  const all = [...named];
  if (id !== undefined && !('id' in columns)) all.push({ name: 'id', path: id, type: 'text', format: null });
  if (time !== undefined && !named.some(({ format }) => format !== null)) {
    all.push({ name: 'occurred_at', path: time.path, type: 'timestamptz', format: time.format });
  }
  return all;
}

async function expectedTexts(
  database: Pick<TestDatabase, 'query'>,
  columns: readonly Column[],
  records: readonly DrawnRecord[],
): Promise<string[]> {
  const rows = records.map((record, at) => ({ at: String(at), ...rowOf(record.json, columns) }));
  const names = [...columns.map(({ name }) => name), 'extra'];
  const values = columns.map(({ name, type, format }) =>
    // Of the list's own time microseconds are expected, of another one a text.
    type !== 'timestamptz'
      ? `e."${name}"::${type}::text`
      : format === null
        ? microsOf(`e."${name}"::timestamptz`)
        : `e."${name}"`,
  );
  const { rows: found } = await database.query<{ text: string }>(
    `SELECT jsonb_build_array(${[...values, 'e.extra::jsonb::text'].join(', ')})::text AS text
       FROM jsonb_to_recordset($1) AS e(at int, ${names.map((name) => `"${name}" text`).join(', ')}) ORDER BY e.at`,
    [JSON.stringify(rows)],
  );
  return found.map(({ text }) => text);
}

function microsOf(time: string): string {
  return `round(extract(epoch FROM ${time}) * 1000000)::bigint::text`;
}

async function tableTexts(
  database: Pick<TestDatabase, 'query'>,
  { name }: Words,
  columns: readonly Column[],
): Promise<string[]> {
  const values = columns.map((column) =>
    column.type === 'timestamptz' ? microsOf(`t."${column.name}"`) : `t."${column.name}"::text`,
  );
  const row = `jsonb_build_array(${[...values, 't.extra::text'].join(', ')})::text`;
  return textsOf(database, `SELECT ${row} AS text FROM "${name.replaceAll('-', '_')}" t`);
}

/** None where the table is not there yet. */
async function textsOf(database: Pick<TestDatabase, 'query'>, sql: string): Promise<string[]> {
  try {
    const { rows } = await database.query<{ text: string }>(sql);
    return rows.map(({ text }) => text);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === UNDEFINED_TABLE) return [];
    throw error;
  }
}

function rowOf(record: Json, columns: readonly Column[]): Readonly<Record<string, string | null>> {
  const shown = columns.map((column) => ({ ...column, shown: shownOf(memberAt(record, column.path), column) }));
  const isWhole = (path: Path): boolean =>
    shown.some((column) => column.shown?.isWhole === true && isAt(path, column.path));
  const rest = isObject(record) ? withoutWhole(record, [], isWhole) : record;
  return {
    ...Object.fromEntries(shown.map((column) => [column.name, column.shown?.text ?? null])),
    extra: rest === undefined ? null : jsonText(rest),
  };
}

/** `null` where the column cannot show the value: then it stays in `extra`. */
function shownOf(value: Json | undefined, { name, type, format }: Column): Shown | null {
  if (value === undefined) return null;
  const all = (text: string): Shown => ({ text, isWhole: true });
  if (type === 'jsonb') return all(jsonText(value));
  if (value === null) return null;
  const number = typeof value === 'number' || value instanceof Digits ? jsonText(value) : null;
  const text = typeof value === 'string' ? value : null;
  switch (type) {
    case 'text':
      // A key of the table may be a number.
      return text !== null ? all(text) : name === 'id' && number !== null ? { text: number, isWhole: false } : null;
    case 'uuid':
      return text !== null && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text) ? all(text) : null;
    case 'boolean':
      return typeof value === 'boolean' ? all(String(value)) : null;
    case 'bigint':
    case 'numeric': {
      const digits = number ?? text ?? '';
      if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(digits)) return null;
      const whole = type === 'bigint' ? asBigint(digits) : digits;
      return whole === null ? null : { text: whole, isWhole: number !== null };
    }
    case 'timestamptz': {
      if (format === null)
        return text !== null && !Number.isNaN(Date.parse(text)) && /^\d{4}-/.test(text) ? all(text) : null;
      const us = readTime(number ?? text ?? '', format);
      return us === null ? null : all(String(us));
    }
  }
}

/** `1e5` is a whole number, too. */
function asBigint(digits: string): string | null {
  const value = /^-?\d+$/.test(digits)
    ? BigInt(digits)
    : Number.isSafeInteger(Number(digits))
      ? BigInt(Number(digits))
      : null;
  return value !== null && BigInt.asIntN(64, value) === value ? String(value) : null;
}

/** An object of which columns show everything is gone. */
function withoutWhole(object: JsonObject, at: Path, isWhole: (path: Path) => boolean): JsonObject | undefined {
  const members = Object.entries(object).flatMap(([key, value]): [string, Json][] => {
    const path = [...at, key];
    if (isWhole(path)) return [];
    const rest = isObject(value) && Object.keys(value).length > 0 ? withoutWhole(value, path, isWhole) : value;
    return rest === undefined ? [] : [[key, rest]];
  });
  return members.length === 0 ? undefined : Object.fromEntries(members);
}
