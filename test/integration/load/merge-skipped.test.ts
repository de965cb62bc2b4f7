/** Triggers of the target can keep rows out without an error. Such rows are set aside, and the counts balance by counting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ensureTarget } from '../../../src/load/schema/ingested-events.ts';
import type { MergeResult } from '../../../src/load/merge/merge.ts';
import { TEXT_IDS, eventsOf, ids, pageOf, startLoading, targetRows, type Loading } from './setup.ts';
import { DATASYNC } from '../../support/datasync.ts';

const AT = 1_700_000_000_000;

/** A function for triggers that does `body` before it takes the row. */
function trigger(body: string, when = 'BEFORE INSERT', table = 'ingested_events'): string {
  return `CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$;
    CREATE TRIGGER meddle ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION meddle()`;
}

const SKIP_BAD = `IF NEW.id LIKE 'bad%' THEN RETURN NULL; END IF;`;

async function setAside({ database }: Loading): Promise<[string, string][]> {
  const { rows } = await database.query<{ event_id: string; reason: string; original: Buffer }>(
    `SELECT event_id, reason, original FROM ingestion.anomaly WHERE kind = 'rejected' ORDER BY anomaly_id`,
  );
  for (const { event_id, original } of rows) {
    assert.equal((JSON.parse(original.toString()) as { id: string }).id, event_id);
  }
  return rows.map(({ event_id, reason }) => [event_id, reason]);
}

/** inserted, updated, duplicates, rejected; and that the books of the run balance. */
async function figures(loading: Loading, result: MergeResult): Promise<number[]> {
  const { counts } = (await loading.store.currentRun()) ?? assert.fail('no run');
  assert.equal(counts.served, counts.loaded + counts.rejected);
  assert.equal(counts.loaded, counts.inserted + counts.updated + counts.duplicates);
  const left = await loading.database.query(`SELECT relname FROM pg_class WHERE relname LIKE 'merge!_%' ESCAPE '!'`);
  assert.deepEqual(left.rows, []);
  return [result.inserted, result.updated, result.duplicates, result.rejected];
}

for (const onConflict of ['ignore', 'update'] as const) {
  for (const target of ['an empty', 'a filled']) {
    test(`what a trigger skips is set aside, with its event (${onConflict}, ${target} target)`, async (t) => {
      const loading = await startLoading(t);
      const { loader, merger, database } = loading;
      if (target === 'a filled') {
        await loader.load(pageOf(eventsOf(['bad-before', 'before']), { table: 'b' }));
        await merger(onConflict).merge('b', 1);
      }
      await database.query(trigger(SKIP_BAD));
      await loader.load(pageOf(eventsOf(['e1', 'bad1', 'e2', 'bad2', 'e1', 'bad2']), { page: 2 }));
      const result = await merger(onConflict).merge('a', 1);
      assert.equal(result.isInitialMerge, false);
      // The second bad2 is another event: it was served with a time of its own.
      assert.deepEqual(await figures(loading, result), [2, 0, 1, 3]);
      const reason = 'skipped by a trigger of the table (meddle); the original is rebuilt from its row';
      assert.deepEqual(
        (await setAside(loading)).sort(),
        ['bad1', 'bad2', 'bad2'].map((id) => [id, reason]),
      );
      // What has its row already is a duplicate, whatever the trigger thinks of it today.
      await loader.load(pageOf(eventsOf(['e1', 'e2']), { page: 3 }));
      assert.deepEqual((await figures(loading, await merger('ignore').merge('a', 1))).slice(0, 3), [0, 0, 2]);
    });
  }
}

test('a trigger that skips nearly everything costs memory for a few hundred rows', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(trigger(`IF NEW.id <> 'e000700' THEN RETURN NULL; END IF;`));
  await loading.loader.load(pageOf(eventsOf(ids('e', 1_300))));
  assert.deepEqual(await figures(loading, await loading.merger().merge('a', 1)), [1, 0, 0, 1_299]);
  assert.equal(new Set((await setAside(loading)).map(([id]) => id)).size, 1_299);
});

test('a trigger that skips some and refuses others is told apart', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(trigger(`${SKIP_BAD} IF NEW.id LIKE 'no%' THEN RAISE EXCEPTION 'not this'; END IF;`));
  await loading.loader.load(pageOf(eventsOf(['e1', 'bad1', 'no1', 'e2', 'bad2'])));
  assert.deepEqual(await figures(loading, await loading.merger().merge('a', 1)), [2, 0, 0, 3]);
  assert.deepEqual((await setAside(loading)).map(([id, reason]) => [id, reason.split(';')[0]]).sort(), [
    ['bad1', 'skipped by a trigger of the table (meddle)'],
    ['bad2', 'skipped by a trigger of the table (meddle)'],
    ['no1', 'refused by the merge: not this'],
  ]);
});

for (const onConflict of ['ignore', 'update'] as const) {
  test(`where a trigger skips the best row of an id, the next best takes its place (${onConflict})`, async (t) => {
    const loading = await startLoading(t);
    await loading.database.query(trigger(`IF NEW.name = 'bad' THEN RETURN NULL; END IF;`));
    const names = onConflict === 'ignore' ? ['bad', 'good', 'other'] : ['other', 'good', 'bad'];
    await loading.loader.load(pageOf(names.map((name, at) => ({ id: 'x', timestamp: AT + at, name }))));
    assert.deepEqual(await figures(loading, await loading.merger(onConflict).merge('a', 1)), [1, 0, 1, 1]);
    assert.deepEqual(await targetRows(loading.database), [{ id: 'x', name: 'good' }]);
  });
}

test('a trigger that puts rows elsewhere inside the table is no loss', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(
    `CREATE TABLE child () INHERITS (ingested_events);
     ${trigger('INSERT INTO child VALUES (NEW.*); RETURN NULL;')}`,
  );
  await loading.loader.load(pageOf(eventsOf(['a', 'b', 'a'])));
  assert.deepEqual(await figures(loading, await loading.merger().merge('a', 1)), [2, 0, 1, 0]);
  await loading.loader.load(pageOf(eventsOf(['b', 'c']), { page: 2 }));
  assert.deepEqual(await figures(loading, await loading.merger().merge('a', 1)), [1, 0, 1, 0]);
});

for (const onConflict of ['ignore', 'update'] as const) {
  test(`a trigger that inserts another event's row leaves true counts (${onConflict})`, async (t) => {
    const loading = await startLoading(t);
    await loading.database.query(
      trigger(
        `IF NEW.id = 'a' THEN INSERT INTO ingested_events (id, name) VALUES ('b', 'by the trigger'); END IF; ${SKIP_BAD}`,
      ),
    );
    await loading.loader.load(pageOf(eventsOf(['a', 'b', 'bad'])));
    assert.deepEqual(await figures(loading, await loading.merger(onConflict).merge('a', 1)), [2, 0, 0, 1]);
    assert.deepEqual(
      (await targetRows(loading.database)).map(({ id }) => id),
      ['a', 'b'],
    );
  });
}

for (const [how, made] of Object.entries({
  'before it is made, and rows are moved together': trigger(`IF NEW.id = 'c' THEN NEW.id := 'd'; END IF;`),
  'before it is made, and rows are moved one by one': trigger(
    `IF NEW.id = 'no' THEN RAISE 'not this'; ELSIF NEW.id = 'c' THEN NEW.id := 'd'; END IF;`,
  ),
  'when it is made, and another is taken out again': trigger(
    `UPDATE ingested_events SET id = 'd' WHERE id = 'c'; DELETE FROM ingested_events WHERE id = 'no';`,
    'AFTER INSERT',
  ),
})) {
  test(`a trigger that gives a row another id ends the merge (${how})`, async (t) => {
    const loading = await startLoading(t);
    await loading.database.query(made);
    await loading.loader.load(pageOf(eventsOf(['a', 'no', 'c'])));
    await assert.rejects(loading.merger().merge('a', 1), {
      exitCode: 2,
      message: /gave 1 rows other ids than their events have \(meddle of public\.ingested_events\)/,
    });
    assert.deepEqual(await targetRows(loading.database), []);
  });
}

test('a trigger that takes a row out again is found, too', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(trigger(`DELETE FROM ingested_events WHERE id = 'bad1';`, 'AFTER INSERT'));
  await loading.loader.load(pageOf(eventsOf(['e1', 'bad1', 'e2'])));
  assert.deepEqual(await figures(loading, await loading.merger().merge('a', 1)), [2, 0, 0, 1]);
});

for (const onConflict of ['ignore', 'update'] as const) {
  test(`a trigger of a partition counts (${onConflict})`, async (t) => {
    const loading = await startLoading(t);
    const { database, db, loader, merger } = loading;
    await database.query(
      `CREATE TABLE made (LIKE ingested_events INCLUDING DEFAULTS) PARTITION BY HASH (id);
     ALTER TABLE made ADD PRIMARY KEY (id);
     DROP TABLE ingested_events;
     ALTER TABLE made RENAME TO ingested_events;
     CREATE TABLE part_0 PARTITION OF ingested_events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
     CREATE TABLE part_1 PARTITION OF ingested_events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
     ${trigger('RETURN NULL;', 'BEFORE INSERT', 'part_1')}`,
    );
    await ensureTarget(db, DATASYNC, TEXT_IDS);
    await loader.load(pageOf(eventsOf(ids('e', 100))));
    const [inserted = 0, updated, duplicates, rejected = 0] = await figures(
      loading,
      await merger(onConflict).merge('a', 1),
    );
    assert.deepEqual([inserted + rejected, updated, duplicates], [100, 0, 0]);
    assert.ok(inserted > 0 && rejected > 0);
    assert.equal((await targetRows(database)).length, inserted);
  });
}

test('a trigger that is switched off, or is for UPDATE, keeps nothing from the quick way', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(
    `${trigger(SKIP_BAD)}; ALTER TABLE ingested_events DISABLE TRIGGER meddle;
     CREATE TRIGGER later BEFORE UPDATE ON ingested_events FOR EACH ROW EXECUTE FUNCTION meddle()`,
  );
  await loading.loader.load(pageOf(eventsOf(['bad1', 'e1'])));
  const result = await loading.merger().merge('a', 1);
  assert.deepEqual([result.inserted, result.isInitialMerge], [2, true]);
});

const OLD = { id: 'x', timestamp: AT, name: 'old' };
const NEWER = { id: 'x', timestamp: AT + 1, name: 'rude' };
const OLDER = { id: 'x', timestamp: AT - 1, name: 'rude' };

for (const { onConflict, event, expected, what } of [
  { onConflict: 'ignore', event: NEWER, expected: [0, 0, 1, 0], what: 'is a duplicate' },
  { onConflict: 'update', event: OLDER, expected: [0, 0, 1, 0], what: 'and would not change it is a duplicate' },
  { onConflict: 'update', event: NEWER, expected: [0, 0, 0, 1], what: 'and would change it is set aside' },
] as const) {
  test(`an event that the target would refuse, whose id has a row, ${what} (${onConflict})`, async (t) => {
    const loading = await startLoading(t);
    const { loader, merger, database } = loading;
    await loader.load(pageOf([OLD]));
    await merger(onConflict).merge('a', 1);
    await database.query(`ALTER TABLE ingested_events ADD CHECK (name <> 'rude')`);
    await loader.load(pageOf([event], { page: 2 }));
    assert.deepEqual(await figures(loading, await merger(onConflict).merge('a', 1)), expected);
    assert.equal((await setAside(loading)).length, expected[3]);
    assert.deepEqual(await targetRows(database), [{ id: 'x', name: 'old' }]);
  });
}
