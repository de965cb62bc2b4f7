import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ColumnPlan, ColumnType, KeyPath, PlannedColumn } from '../../../../src/core/column-plan.ts';
import { compilePlan } from '../../../../src/encode/plan/compiled-plan.ts';
import { rebuildEvent } from '../../../../src/encode/rows/event-rebuilding.ts';
import { encoded, planOf } from './planned-records.ts';

const RUNS = 250;
const UUID = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';

interface RandomColumn {
  readonly path: KeyPath;
  readonly type: ColumnType;
}

const key = fc.constantFrom('a', 'b', 'c', 'd"', 'é');
const column: fc.Arbitrary<RandomColumn> = fc.record({
  path: fc.array(key, { minLength: 1, maxLength: 3 }),
  type: fc.constantFrom('text', 'uuid', 'bigint', 'numeric', 'boolean', 'jsonb'),
});
const plan: fc.Arbitrary<ColumnPlan> = fc
  .uniqueArray(column, { maxLength: 7, selector: ({ path }) => path.join('/') })
  .map((columns) =>
    planOf({
      id: { name: 'id', type: 'bigint', path: ['id'] },
      columns: columns.map((one, index) => ({ name: `c${index}`, ...one })),
    }),
  );
const leaf = fc.constantFrom(null, true, false, 1, -5, 1.5, 12345, 'x', 'y"z', UUID, '17', '1.50', '');
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    fc.array(tie('value'), { maxLength: 2 }),
  ),
}));
const record = fc.dictionary(key, value, { maxKeys: 5 });

function valueAt(path: KeyPath, of: unknown): unknown {
  return path.reduce<unknown>(
    (object, name) =>
      typeof object === 'object' && object !== null && !Array.isArray(object)
        ? new Map<string, unknown>(Object.entries(object)).get(name)
        : undefined,
    of,
  );
}

/** What a column of the type shows of a value; undefined: there is none. */
function shownOf(type: PlannedColumn['type'], found: unknown): string | null {
  switch (type) {
    case 'jsonb':
      return found === undefined ? null : JSON.stringify(found);
    case 'uuid':
      return found === UUID ? UUID : null;
    case 'boolean':
      return typeof found === 'boolean' ? String(found) : null;
    case 'bigint':
      return Number.isInteger(found) || found === '17' ? String(found) : null;
    case 'numeric':
      return typeof found === 'number' || found === '17' || found === '1.50' ? String(found) : null;
    case 'text':
    case 'timestamptz':
    default:
      return typeof found === 'string' ? found : null;
  }
}

describe('any plan', () => {
  it('shows each value in its column, and every record can be rebuilt', () => {
    fc.assert(
      fc.property(plan, fc.array(record, { maxLength: 3 }), fc.boolean(), (columnPlan, records, isSpaced) => {
        const texts = records.map((one, id) => JSON.stringify({ ...one, id }, null, isSpaced ? 1 : 0));
        const { rows } = encoded(columnPlan, texts);
        assert.equal(rows.length, texts.length);
        for (const [index, row] of rows.entries()) {
          const served: unknown = JSON.parse(texts[index] ?? '');
          for (const { name, path, type } of columnPlan.columns) {
            const shown = row[name] ?? null;
            const isJson = type === 'jsonb' && shown !== null;
            const spelled = isJson ? JSON.stringify(JSON.parse(shown)) : shown;
            assert.equal(spelled, shownOf(type, valueAt(path, served)), `${name} of ${texts[index] ?? ''}`);
          }
          const stored = { ...row, id: row['id'] ?? '', extra: row['extra'] ?? null };
          assert.deepEqual(JSON.parse(rebuildEvent(stored, compilePlan(columnPlan))), served);
        }
      }),
      { numRuns: RUNS },
    );
  });
});
