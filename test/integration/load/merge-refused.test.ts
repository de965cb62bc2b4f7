import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ensureTarget } from '../../../src/load/schema/ingested-events.ts';
import { TEXT_IDS, eventsOf, ids, pageOf, startLoading, targetRows } from './setup.ts';
import type { Loading } from './setup.ts';
import { DATASYNC } from '../../support/datasync.ts';

interface AnomalyRow {
  event_id: string;
  kind: string;
  field: string;
  reason: string;
  original: Buffer;
  window_id: number;
  page: number;
  position: number;
}

async function anomalies({ database }: Loading): Promise<AnomalyRow[]> {
  const { rows } = await database.query<AnomalyRow>('SELECT * FROM ingestion.anomaly ORDER BY event_id, anomaly_id');
  return rows;
}

async function countsBalance({ store }: Loading): Promise<void> {
  const { counts } = (await store.currentRun()) ?? assert.fail('no run');
  assert.equal(counts.served, counts.loaded + counts.rejected);
  assert.equal(counts.loaded, counts.inserted + counts.updated + counts.duplicates);
}

for (const [place, positions] of Object.entries({
  first: [0],
  middle: [7],
  last: [19],
  several: [0, 3, 4, 19],
  all: ids('', 20).map(Number),
})) {
  test(`what staging itself refuses in the COPY is set aside, and nothing else: ${place}`, async (t) => {
    const loading = await startLoading(t);
    await loading.database.query(`ALTER TABLE ingestion.staging_a_1 ADD CONSTRAINT polite CHECK (name <> 'rude')`);
    const events = ids('e', 20).map((id, at) => ({
      id,
      timestamp: 1_700_000_000_000,
      name: positions.includes(at) ? 'rude' : 'kind',
    }));
    const loaded = await loading.loader.load(pageOf(events));
    assert.deepEqual([loaded.loaded, loaded.rejected], [20 - positions.length, positions.length]);
    const result = await loading.merger().merge('a', 1);
    assert.deepEqual([result.inserted, result.rejected], [20 - positions.length, positions.length]);
    const refused = await anomalies(loading);
    assert.deepEqual(
      refused.map((row) => row.position),
      positions,
    );
    for (const row of refused) {
      assert.equal(row.original.toString(), JSON.stringify(events[row.position]));
      assert.equal(row.reason, 'new row for relation "ingested_events" violates check constraint "polite"');
      assert.equal(row.event_id, events[row.position]?.id);
    }
    await countsBalance(loading);
  });
}

test('a page after one that PostgreSQL refused is loaded as if nothing had been', async (t) => {
  const loading = await startLoading(t, { open: { copyConnections: 1 } });
  await loading.database.query(`ALTER TABLE ingestion.staging_a_1 ADD CHECK (name <> 'rude')`);
  // Large enough that the refusal arrives while other rows are still being sent.
  const big = ids('big', 4000).map((id, at) => ({ id, name: at === 2 ? 'rude' : 'kind', filler: 'x'.repeat(1000) }));
  await Promise.all([
    loading.loader.load(pageOf(big)),
    loading.loader.load(pageOf(eventsOf(ids('small', 10)), { page: 2 })),
  ]);
  const result = await loading.merger().merge('a', 2);
  assert.deepEqual([result.inserted, result.rejected], [4009, 1]);
});

test('an anomaly of an event that PostgreSQL refuses besides is no repair any more', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(`ALTER TABLE ingestion.staging_a_1 ADD CHECK (id <> 'bad')`);
  await loading.loader.load(
    pageOf([
      { id: 'good', name: 'a\0b' },
      { id: 'bad', name: 'a\0b' },
    ]),
  );
  const result = await loading.merger().merge('a', 1);
  assert.deepEqual([result.loaded, result.rejected, result.repaired], [1, 1, 1]);
  assert.deepEqual(
    (await anomalies(loading)).map((row) => `${row.event_id} ${row.kind}`),
    ['bad rejected', 'good repaired'],
  );
});

const MERGE_REFUSALS: Record<string, { sql: string; message: RegExp }> = {
  'a unique index on another column': {
    sql: 'CREATE UNIQUE INDEX one_name ON ingested_events (name)',
    message: /duplicate key value violates unique constraint "one_name"/,
  },
  'a trigger': {
    sql: `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.id LIKE 'bad%' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
          CREATE TRIGGER refuse BEFORE INSERT ON ingested_events FOR EACH ROW EXECUTE FUNCTION refuse()`,
    message: /not this one/,
  },
  'a foreign key': {
    sql: `CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names SELECT 'n' || i FROM generate_series(0, 99) i;
          ALTER TABLE ingested_events ADD FOREIGN KEY (name) REFERENCES names`,
    message: /violates foreign key constraint/,
  },
  'a foreign key that is checked at the end': {
    sql: `CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names SELECT 'n' || i FROM generate_series(0, 99) i;
          ALTER TABLE ingested_events ADD FOREIGN KEY (name) REFERENCES names DEFERRABLE INITIALLY DEFERRED`,
    message: /violates foreign key constraint/,
  },
  'a check added while rows were staged': {
    sql: `ALTER TABLE ingested_events ADD CONSTRAINT late CHECK (id NOT LIKE 'bad%')`,
    message: /violates check constraint "late"/,
  },
};

for (const [what, { sql, message }] of Object.entries(MERGE_REFUSALS)) {
  for (const target of ['an empty', 'a filled']) {
    for (const onConflict of ['ignore', 'update'] as const) {
      test(`${what} refuses single rows of a merge into ${target} target, with --on-conflict ${onConflict}`, async (t) => {
        const loading = await startLoading(t);
        const { loader, database } = loading;
        if (target === 'a filled') {
          await loader.load(pageOf(eventsOf(['there']), { page: 1, table: 'b' }));
          await loading.merger(onConflict).merge('b', 1);
        }
        const good = ids('e', 60).map((id, at) => ({ id, timestamp: 1_700_000_000_000, name: `n${at}` }));
        // Not in the list of names, and doubled: the foreign keys and the unique index refuse the second of them.
        const unique = what.startsWith('a unique');
        const bad = ['bad1', 'bad2'].map((id) => ({
          id,
          timestamp: 1_700_000_000_000,
          name: unique ? 'n3' : 'unknown',
        }));
        await loader.load(pageOf([...good.slice(0, 30), bad[0] ?? assert.fail(), ...good.slice(30)], { page: 2 }));
        await loader.load(pageOf([bad[1] ?? assert.fail(), { id: 'more', name: 'n99' }], { page: 3 }));
        await database.query(sql);
        const result = await loading.merger(onConflict).merge('a', 2);
        assert.deepEqual([result.inserted, result.rejected, result.served, result.isInitialMerge], [61, 2, 63, false]);
        const refused = await anomalies(loading);
        assert.deepEqual(
          refused.map((row) => [row.event_id, row.window_id, row.page, row.position]),
          [
            ['bad1', 1, 2, 30],
            ['bad2', 1, 3, 0],
          ],
        );
        for (const row of refused) {
          assert.match(row.reason, message);
          assert.match(row.reason, /^refused by the merge: .*rebuilt from its row$/);
          assert.equal((JSON.parse(row.original.toString()) as { id: string }).id, row.event_id);
        }
        await countsBalance(loading);
        const key = await database.query(
          `SELECT FROM pg_constraint WHERE conrelid = 'ingested_events'::regclass AND contype = 'p'`,
        );
        assert.equal(key.rowCount, 1);
      });
    }
  }
}

test('what only the merge refuses is kept as the event that it was, rebuilt from its row', async (t) => {
  const loading = await startLoading(t);
  const event =
    '{"eventId":"e1","userId":"u","type":"t","properties":{"n":9007199254740993,"f":1.10},"occurredAt":"2026-01-27T19:20:12.369123Z",' +
    '"sessionId":"s","session":{"id":"s","browser":"b","os":{"v":1}},"more":[1]}';
  await loading.loader.load(pageOf([event]));
  await loading.database.query(`ALTER TABLE ingested_events ADD CHECK (id <> 'e1')`);
  assert.equal((await loading.merger().merge('a', 1)).rejected, 1);
  const [refused] = await anomalies(loading);
  const rebuilt = refused?.original.toString() ?? '';
  const { occurredAt, ...rest } = JSON.parse(rebuilt) as { occurredAt: string };
  const { occurredAt: served, ...expected } = JSON.parse(event) as { occurredAt: string };
  assert.deepEqual([rest, Date.parse(occurredAt)], [expected, Date.parse(served)]);
  assert.match(rebuilt, /9007199254740993.*1\.10|1\.10.*9007199254740993/);
});

test('where the best row of an id is refused, the next best takes its place', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF NEW.name = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
     CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ingested_events FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  const versions = ['good', 'better', 'bad', 'bad'].map((name, at) => ({
    id: 'x',
    timestamp: 1_700_000_000_000 + at,
    name,
  }));
  await loading.loader.load(pageOf(versions));
  const result = await loading.merger('update').merge('a', 1);
  assert.deepEqual([result.inserted, result.updated, result.duplicates, result.rejected], [1, 0, 1, 2]);
  assert.deepEqual(await targetRows(loading.database), [{ id: 'x', name: 'better' }]);
});

test('a column that somebody added, with a default and without null, gets its default', async (t) => {
  const loading = await startLoading(t);
  await loading.database.query(`ALTER TABLE ingested_events ADD COLUMN tenant text NOT NULL DEFAULT 'ours'`);
  await ensureTarget(loading.db, DATASYNC, TEXT_IDS);
  await loading.loader.load(pageOf(eventsOf(['a'])));
  await loading.merger().merge('a', 1);
  const { rows } = await loading.database.query('SELECT tenant, ingested_at IS NOT NULL AS dated FROM ingested_events');
  assert.deepEqual(rows, [{ tenant: 'ours', dated: true }]);
});

test('what was moved already is not counted again for each part in which a row is refused', async (t) => {
  const loading = await startLoading(t);
  const { database, loader, merger } = loading;
  await database.query(`
    ALTER TABLE ingested_events ADD CONSTRAINT polite CHECK (name <> 'rude');
    CREATE TABLE public.seen (rows_read bigint);
    CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.seen SELECT pg_stat_get_xact_tuples_returned(to_regclass('ingestion.merge_moved_1')); END $$;
    CREATE EVENT TRIGGER see ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION public.see()`);
  const count = 6_000;
  const events = eventsOf(ids('e', count)).map((event, n) => (n % 50 === 7 ? { ...event, name: 'rude' } : event));
  await loader.load(pageOf(events));
  const { inserted, rejected } = await merger().merge('a', 1);
  assert.deepEqual([inserted, rejected], [count - count / 50, count / 50]);
  const rowsRead = await database.number('SELECT max(rows_read) FROM public.seen');
  assert.ok(rowsRead < 3 * count, `${rowsRead} rows were read`);
});
