import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_COLUMNS, sqlType } from '../../../../src/encode/rows/event-columns.ts';
import type { TargetColumn, TargetFacts } from '../../../../src/load/schema/target-facts.ts';
import { planTarget, refusalOf } from '../../../../src/load/schema/target-plan.ts';

const UUIDS = { id: 'uuid', sessionId: 'uuid', userId: 'uuid' } as const;

function column(name: string, type: string, changes: Partial<TargetColumn> = {}): TargetColumn {
  return { name, type, collation: null, isNotNull: false, hasDefault: false, isGenerated: false, ...changes };
}

/** As the program makes it, and owned by the job's role. */
const OURS: TargetFacts = {
  relation: 'public.ingested_events',
  kind: 'r',
  role: 'job',
  isOwner: true,
  maySelect: true,
  mayInsert: true,
  mayUpdate: true,
  isFiltered: false,
  permitted: [],
  columns: [
    ...EVENT_COLUMNS.map((event) =>
      column(event.name, sqlType(event, UUIDS).replace('timestamptz', 'timestamp with time zone')),
    ),
    column('ingested_at', 'timestamp with time zone', { isNotNull: true, hasDefault: true }),
  ],
  isUniqueById: true,
  looseCollation: null,
  rules: [],
  heirs: [],
  triggers: [],
  referencedBy: [],
  publications: [],
  unidentified: null,
  mayMakeIndex: true,
  mayTruncate: true,
  hasReferences: false,
  isInFiles: true,
  serverSparesWal: true,
};

const TRIGGER = { name: 'tr', onInsert: false, onUpdate: false, onDelete: false, onTruncate: false };

function withColumns(change: (columns: readonly TargetColumn[]) => readonly TargetColumn[]): TargetFacts {
  return { ...OURS, columns: change(OURS.columns) };
}

void test('a table as the program makes it has every way open', () => {
  assert.equal(refusalOf(OURS, 'update'), null);
  assert.deepEqual(planTarget(OURS, 'update'), {
    types: UUIDS,
    indexNeededBy: null,
    sparesWal: true,
    watchedTriggers: [],
    hasHeirs: false,
    returnsXmax: true,
    hasIngestedAt: true,
  });
});

for (const [what, change] of Object.entries<Partial<TargetFacts>>({
  'it is partitioned': { kind: 'p' },
  'another role owns it': { isOwner: false },
  'the role may not CREATE in its schema': { mayMakeIndex: false },
  'row security may hide rows of others': { isFiltered: true, permitted: ['r', 'a', 'w'] },
  'it has the trigger tr': { triggers: [{ ...TRIGGER, onDelete: true }] },
  'a foreign key of notes points to it': { referencedBy: ['notes'] },
  'the publication p would pass on what is taken out again': { publications: ['p'] },
})) {
  void test(`rows go through the index where ${what}`, () => {
    const facts = { ...OURS, ...change };
    assert.equal(refusalOf(facts, 'update'), null);
    assert.equal(planTarget(facts, 'update').indexNeededBy, what);
  });
}

for (const [what, change] of Object.entries<Partial<TargetFacts>>({
  'the server logs everything': { serverSparesWal: false },
  'the privilege is lacking': { mayTruncate: false },
  'a partition is a foreign table': { kind: 'p', isInFiles: false },
  'a table inherits from it': { heirs: ['heir'] },
  'a trigger for TRUNCATE would fire': { triggers: [{ ...TRIGGER, onTruncate: true }] },
  'a trigger for INSERT may look at it in another session': { triggers: [{ ...TRIGGER, onInsert: true }] },
  'a foreign key points to it': { referencedBy: ['notes'] },
  'it has a foreign key': { hasReferences: true },
  'a publication passes it on': { publications: ['p'] },
})) {
  void test(`an empty table is not truncated where ${what}`, () => {
    assert.equal(planTarget({ ...OURS, ...change }, 'ignore').sparesWal, false);
  });
}

void test('an empty table is truncated even if its rows go through the index', () => {
  const facts = { ...OURS, kind: 'p', isOwner: false, isFiltered: true, triggers: [{ ...TRIGGER, onDelete: true }] };
  const { indexNeededBy, sparesWal } = planTarget(facts, 'ignore');
  assert.deepEqual([indexNeededBy === null, sparesWal], [false, true]);
});

void test('a trigger for UPDATE is watched only where rows are updated, and closes no way', () => {
  const facts = { ...OURS, triggers: [{ ...TRIGGER, onUpdate: true }] };
  assert.deepEqual(planTarget(facts, 'ignore').watchedTriggers, []);
  assert.deepEqual(planTarget(facts, 'update').watchedTriggers, ['tr']);
  assert.equal(planTarget(facts, 'update').indexNeededBy, null);
});

void test('a partitioned table returns no xmax, and a table without ingested_at notes no time', () => {
  assert.equal(planTarget({ ...OURS, kind: 'p' }, 'update').returnsXmax, false);
  const facts = withColumns((columns) => columns.filter(({ name }) => name !== 'ingested_at'));
  assert.equal(planTarget(facts, 'update').hasIngestedAt, false);
});

const REFUSED: readonly [string, TargetFacts, RegExp][] = [
  ['a view', { ...OURS, kind: 'v' }, /^it is a view, not a table$/],
  ['something unknown', { ...OURS, kind: '?' }, /^it is something else, not a table$/],
  ['a rule', { ...OURS, rules: ['r'] }, /^its rule "r" does not work/],
  [
    'a publication and no replica identity',
    { ...OURS, unidentified: 'part_1' },
    /^a publication passes on the updates of part_1/,
  ],
  ['no key', { ...OURS, isUniqueById: false }, /no primary key or unique constraint on \(id\)/],
  ['a loose collation', { ...OURS, looseCollation: 'ci' }, /nondeterministic collation ci/],
  [
    'a column that is missing',
    withColumns((columns) => columns.filter(({ name }) => name !== 'browser')),
    /^its column browser is missing, not text$/,
  ],
  [
    'a column of another type',
    withColumns((columns) => columns.map((found) => (found.name === 'id' ? { ...found, type: 'bigint' } : found))),
    /^its column id is bigint, not uuid or text$/,
  ],
  [
    'a generated column of an event',
    withColumns((columns) => columns.map((found) => (found.name === 'name' ? { ...found, isGenerated: true } : found))),
    /^its column name is generated/,
  ],
  [
    'a column that nothing fills',
    withColumns((columns) => [...columns, column('tenant', 'integer', { isNotNull: true })]),
    /^its column tenant is NOT NULL without a default/,
  ],
  [
    'no right to insert',
    { ...OURS, mayInsert: false },
    /GRANT SELECT, INSERT, UPDATE ON public\.ingested_events TO job/,
  ],
  [
    'row security without a policy for reading',
    { ...OURS, isFiltered: true, permitted: ['a', 'w'] },
    /no policy that lets the role job SELECT/,
  ],
];

for (const [what, facts, why] of REFUSED) {
  void test(`a table with ${what} is refused`, () => {
    assert.match(refusalOf(facts, 'update') ?? '', why);
  });
}

void test('what a trigger may fill in, what has a default, and rights that are not needed are no reason to refuse', () => {
  const tenant = column('tenant', 'integer', { isNotNull: true });
  const filled = withColumns((columns) => [...columns, { ...tenant, hasDefault: true }]);
  assert.equal(refusalOf(filled, 'ignore'), null);
  const byTrigger = withColumns((columns) => [...columns, tenant]);
  assert.equal(refusalOf({ ...byTrigger, triggers: [{ ...TRIGGER, onInsert: true }] }, 'ignore'), null);
  assert.equal(refusalOf({ ...OURS, mayUpdate: false }, 'ignore'), null);
  assert.equal(refusalOf({ ...OURS, isFiltered: true, permitted: ['r', 'a'] }, 'ignore'), null);
});
