/** Records of a source other than DataSync: rows as PostgreSQL prints them. */
import assert from 'node:assert/strict';
import type { ColumnPlan } from '../../../../src/core/column-plan.ts';
import { encodePage } from '../../../../src/encode/encode-page.ts';
import { compilePlan } from '../../../../src/encode/plan/compiled-plan.ts';
import { splitRows } from '../../../../src/encode/rows/copy-rows.ts';
import { bytesOf } from './copy-stream-reader.ts';

/** A list under `items`, of records with an id that is a text. */
export function planOf(changes: Partial<ColumnPlan>): ColumnPlan {
  return {
    envelope: 'read',
    records: [{ path: ['items'], rank: 1 }],
    id: { name: 'id', type: 'text', path: ['id'] },
    columns: [],
    time: null,
    version: null,
    ...changes,
  };
}

export interface EncodedRecords {
  /** Each column as PostgreSQL prints it. */
  readonly rows: readonly Readonly<Record<string, string | null>>[];
  /** `column reason`, one an anomaly. */
  readonly anomalies: readonly string[];
}

/** As `{"items":[…]}` unless the page is given. */
export function encoded(
  plan: ColumnPlan,
  records: readonly string[],
  page = `{"items":[${records.join(',')}]}`,
): EncodedRecords {
  const encodedPage = encodePage(bytesOf(page), {
    plan: compilePlan(plan),
    idColumnTypes: {},
    firstSourceOrder: 0n,
    maxEventBytes: 1 << 20,
  });
  if ('fault' in encodedPage) assert.fail(encodedPage.detail);
  const rows = new Uint8Array(encodedPage.rows, 0, encodedPage.rowsBytes);
  const columns = [plan.id, ...plan.columns, { name: 'extra', type: 'jsonb' }];
  return {
    rows: [...splitRows(rows)].slice(0, -1).map((start) => {
      let at = start + 2;
      return Object.fromEntries(
        columns.map(({ name, type }) => {
          const length = new DataView(rows.buffer).getInt32(at);
          const field = rows.subarray(at + 4, at + 4 + Math.max(length, 0));
          at += 4 + Math.max(length, 0);
          return [name, length < 0 ? null : printed(Buffer.from(field), typeof type === 'string' ? type : 'text')];
        }),
      );
    }),
    anomalies: encodedPage.anomalies.map(({ field, reason }) => `${field} ${reason}`),
  };
}

function printed(field: Buffer, type: string): string {
  switch (type) {
    case 'uuid':
      return field.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    case 'bigint':
      return String(field.readBigInt64BE());
    case 'timestamptz':
      return String(field.readBigInt64BE() + 946_684_800_000_000n);
    case 'boolean':
      return field[0] === 1 ? 'true' : 'false';
    case 'numeric':
      return printedNumeric(field);
    case 'jsonb':
      return field.toString('utf8', 1);
    default:
      return field.toString('utf8');
  }
}

/** As numeric_out does it: groups of four digits, of which the first stands `weight` groups before the point. */
function printedNumeric(field: Buffer): string {
  const [count, weight, sign, scale] = [
    field.readUInt16BE(0),
    field.readInt16BE(2),
    field.readUInt16BE(4),
    field.readUInt16BE(6),
  ];
  assert.equal(field.length, 8 + 2 * count);
  const group = (place: number): string => {
    const index = weight - place;
    return String(index >= 0 && index < count ? field.readInt16BE(8 + 2 * index) : 0).padStart(4, '0');
  };
  const groups = (from: number, to: number): string =>
    Array.from({ length: Math.max(0, from - to + 1) }, (_, index) => group(from - index)).join('');
  const integer = groups(Math.max(weight, 0), 0).replace(/^0+(?=\d)/, '');
  const fraction = groups(-1, -Math.ceil(scale / 4)).slice(0, scale);
  return `${sign === 0x4000 ? '-' : ''}${integer}${scale > 0 ? `.${fraction}` : ''}`;
}
