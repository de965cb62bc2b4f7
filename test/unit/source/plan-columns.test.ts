/** The table of a described source is one that the encoder can fill. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePlan } from '../../../src/encode/plan/compiled-plan.ts';
import { planColumns } from '../../../src/source/plan-columns.ts';
import { described } from './described.ts';

test('without an id the key is a hash of the record, which is a uuid', () => {
  const plan = planColumns(described({}).description);
  assert.deepEqual(plan.id, { name: 'id', type: 'uuid', path: [] });
  assert.equal(compilePlan(plan).id.type, 'uuid');
});

for (const [said, type] of [
  [{}, 'text'],
  [{ id: { path: ['key'], type: 'bigint' } }, 'bigint'],
  [{ id: { path: ['key'], type: 'uuid' } }, 'uuid'],
] as const) {
  test(`the key is ${type} where columns are ${JSON.stringify(said)}`, () => {
    assert.equal(planColumns(described({ id: ['key'], columns: said }).description).id.type, type);
  });
}
