/** A small fixed part of `npm run test:targets`: targets that have broken the law once, and a few random ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedCluster } from '../../support/database.ts';
import { drawOf, type Draw } from '../../targets/drawing.ts';
import { tryTarget } from '../../targets/trial.ts';

const PLAIN: Draw = {
  form: 'plain',
  idType: 'uuid',
  parts: [],
  role: 'superuser',
  others: { rows: 0, withIdsOfEvents: 0 },
  source: { count: 200, ids: 'uuid', marked: 12, doubled: 5, newer: 20, changed: 30 },
  load: {
    onConflict: 'ignore',
    later: 'update',
    pageSize: 60,
    end: 'stop',
    at: 50,
    mergesBetween: false,
    laterInFull: true,
    concurrency: 1,
  },
};

const TARGETS: Readonly<Record<string, Draw>> = {
  'a text column of an empty table, which the job may not alter': {
    ...PLAIN,
    idType: 'text',
    role: 'granted',
    parts: ['session and user as text'],
    source: { ...PLAIN.source, ids: 'mixed' },
  },
  'ingested_at as a number': { ...PLAIN, parts: ['ingested_at as a number'] },
  'refusals with a state of its own, met again when nothing is new': {
    ...PLAIN,
    parts: ['a trigger refuses with UE001'],
    load: { ...PLAIN.load, at: 95, pageSize: 90, laterInFull: false },
  },
  'a trigger that changes what is inserted': {
    ...PLAIN,
    parts: ['a trigger changes the browser', 'a trigger refuses changes'],
    load: { ...PLAIN.load, onConflict: 'update' },
  },
  'partitions, rows of others, refusals at the end, and a kill': {
    ...PLAIN,
    form: 'by range with a gap',
    role: 'owner',
    parts: ['a session is an event at the end', 'a trigger refuses at the end', 'a publication of all tables'],
    others: { rows: 7, withIdsOfEvents: 3 },
    load: { ...PLAIN.load, end: 'kill', onConflict: 'update' },
  },
  'a policy that hides rows of others': {
    ...PLAIN,
    role: 'owner',
    parts: ['a policy refuses some', 'names are unique'],
    others: { rows: 40, withIdsOfEvents: 3 },
    source: { ...PLAIN.source, doubled: 40 },
  },
  'a column that nothing fills': {
    ...PLAIN,
    parts: ['a tenant that nothing fills'],
    others: { rows: 7, withIdsOfEvents: 0 },
  },
};

const RANDOM_SEEDS = [1, 2, 3, 4, 5];

let tried = 0;

async function assertLaw(draw: Draw): Promise<void> {
  tried += 1;
  const { breach, parts, ends } = await tryTarget(await sharedCluster(), `matrix_${tried}`, draw);
  const told = ends.map(({ what, end }) => `${what}: ${end.code}, ${end.message}`).join('\n');
  assert.equal(breach, null, `${JSON.stringify(breach)}\n${parts.join('; ')}\n${told}\n${JSON.stringify(draw)}`);
}

for (const [name, draw] of Object.entries(TARGETS)) {
  void test(name, async () => {
    await assertLaw(draw);
  });
}

for (const seed of RANDOM_SEEDS) {
  void test(`a random target: seed ${seed} of npm run test:targets`, async () => {
    await assertLaw(drawOf(seed));
  });
}
