/** Merges into an empty target on a server with `wal_level=minimal`, where TRUNCATE spares rows the write-ahead log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTargetFacts } from '../../../src/load/schema/target-facts.ts';
import { planTarget } from '../../../src/load/schema/target-plan.ts';
import { countRows, isTargetUntouched } from '../../../src/load/state/target-rows.ts';
import { databaseIn, openClient, testCluster, type TestDatabase } from '../../support/database.ts';
import { makeOurTable } from '../../support/our-table.ts';
import { WITHOUT_WAL } from '../../support/without-wal.ts';
import { UUID_IDS, eventsOf, pageOf, startLoading, targetRows, type Loading, type TestEvent } from './setup.ts';
import { DATASYNC } from '../../support/datasync.ts';

const COUNT = 1_000;
const EVENTS: readonly TestEvent[] = eventsOf(
  Array.from({ length: COUNT }, (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
  { name: 'n'.repeat(200) },
);
/** Of the rows of {@link EVENTS}, at least. */
const ROW_BYTES = COUNT * 250;

const FILES = `SELECT string_agg(pg_relation_filenode(relid)::text, ' ' ORDER BY relid) AS files
                 FROM (SELECT 'ingested_events'::regclass AS relid UNION SELECT relid FROM pg_partition_tree('ingested_events')) AS tables`;

async function merge({ loader, merger }: Loading, events: readonly TestEvent[] = EVENTS) {
  await loader.load(pageOf(events, { types: UUID_IDS }));
  return merger().merge('a', 1);
}

/** @returns what `work` gives, whether the target had new files afterwards, and how much was written to the log */
async function watched<T>(database: TestDatabase, work: () => Promise<T>) {
  const files = async (): Promise<unknown> => (await database.query(FILES)).rows;
  const lsn = `pg_current_wal_insert_lsn() - '0/0'::pg_lsn`;
  const before = await files();
  const logged = await database.number(lsn);
  const result = await work();
  const bytes = (await database.number(lsn)) - logged;
  const truncated = !isEqual(before, await files());
  return { result, truncated, bytes };
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

test('rows of an empty target are not logged where TRUNCATE touches nothing of anybody, and are there after a crash', async (t) => {
  const cluster = await testCluster(t, { settings: WITHOUT_WAL });
  const loadingOf = async (statements: readonly string[], partitions?: string): Promise<Loading> => {
    const database = await databaseIn(t, cluster);
    await makeOurTable(database, partitions === undefined ? {} : { partitions });
    for (const statement of statements) await database.query(statement);
    return startLoading(t, { database, types: UUID_IDS });
  };
  const inPartitions = [
    [0, 1].map(
      (n) => `CREATE TABLE part_${n} PARTITION OF ingested_events FOR VALUES WITH (MODULUS 2, REMAINDER ${n})`,
    ),
    'HASH (id)',
  ] as const;

  const ways: readonly (readonly [
    what: string,
    isQuick: boolean,
    statements: readonly string[],
    partitions?: string,
  ])[] = [
    ['as the program makes it', true, []],
    ['partitioned', false, ...inPartitions],
    ['clustered by its key', false, ['ALTER TABLE ingested_events CLUSTER ON ingested_events_pkey']],
  ];
  for (const [what, isQuick, statements, partitions] of ways) {
    await t.test(what, async () => {
      const loading = await loadingOf(statements, partitions);
      await loading.store.rememberRows(await countRows(loading.db, DATASYNC));
      const { result, truncated, bytes } = await watched(loading.database, () => merge(loading));
      assert.deepEqual([result.inserted, result.isInitialMerge, truncated], [COUNT, isQuick, true]);
      assert.ok(bytes < ROW_BYTES / 2, `${bytes} bytes were logged`);
      assert.equal((await targetRows(loading.database)).length, COUNT);
      // A partitioned table has no file of its own, so that it is counted in any case.
      const own = { inserted: COUNT, epoch: loading.ownership.epoch };
      assert.equal(
        await isTargetUntouched(loading.db, DATASYNC, own),
        partitions === undefined,
        'it need not be counted',
      );
    });
  }

  await t.test('where the key cannot be built again, and ids come twice', async () => {
    const loading = await loadingOf([]);
    const { database } = loading;
    await database.query(`
      CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM ingested_events) THEN RAISE 'not now'; END IF; END $$;
      CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.refuse()`);
    const { result, truncated } = await watched(database, () => merge(loading, [...EVENTS, ...EVENTS.slice(10, 500)]));
    assert.deepEqual([result.inserted, result.isInitialMerge, truncated], [COUNT, false, true]);
    // Two ways have written to the new files, and one of them was rolled back.
    await cluster.restart('immediate');
    const client = await openClient(t, loading.database.url);
    for (const way of ['seqscan', 'indexscan']) {
      await client.query(
        `SET enable_seqscan = off; SET enable_indexscan = off; SET enable_${way} = on; SET enable_bitmapscan = off`,
      );
      const { rows } = await client.query('SELECT id, octet_length(name) FROM ingested_events ORDER BY id');
      assert.equal(rows.length, COUNT, way);
    }
  });

  await t.test(
    'not while a row that is refused is looked for: that may take minutes, and others can read',
    async () => {
      const loading = await loadingOf([`ALTER TABLE ingested_events ADD CHECK (name <> 'odd')`]);
      const { database } = loading;
      await database.query(`
      CREATE TABLE public.lock_seen (held bigint);
      CREATE FUNCTION public.see_lock() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.lock_seen SELECT count(*) FROM pg_locks
         WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock' AND relation = 'ingested_events'::regclass; END $$;
      CREATE EVENT TRIGGER see_lock ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION public.see_lock()`);
      const odd = EVENTS.map((event, n) => (n === 7 ? { ...event, name: 'odd' } : event));
      const { result, truncated } = await watched(database, () => merge(loading, odd));
      assert.deepEqual([result.inserted, result.rejected, truncated], [COUNT - 1, 1, false]);
      assert.equal((await targetRows(database)).length, COUNT - 1);
      const { rows } = await database.query('SELECT DISTINCT held::int FROM public.lock_seen');
      assert.deepEqual(rows, [{ held: 0 }]);
    },
  );

  await t.test('not into a table that has had rows', async () => {
    const loading = await loadingOf([
      'INSERT INTO ingested_events (id) VALUES (gen_random_uuid())',
      'DELETE FROM ingested_events',
    ]);
    const { result, truncated, bytes } = await watched(loading.database, () => merge(loading));
    assert.deepEqual([result.inserted, result.isInitialMerge, truncated], [COUNT, true, false]);
    assert.ok(bytes > ROW_BYTES, `${bytes} bytes were logged`);
  });

  await t.test('a reader of one partition is waited for by nobody, and sees no error', async () => {
    const loading = await loadingOf(...inPartitions);
    const { database } = loading;
    const reader = await openClient(t, database.url);
    await reader.query('BEGIN; SELECT count(*) FROM part_1');
    const { result, truncated } = await watched(database, () => merge(loading));
    assert.deepEqual([result.inserted, truncated], [COUNT, false]);
    assert.equal((await reader.query('SELECT FROM ingested_events')).rowCount, COUNT);
  });

  const laid: Readonly<Record<string, boolean>> = {
    'CREATE VIEW seen AS SELECT FROM ingested_events': true,
    'CREATE TABLE heir () INHERITS (ingested_events)': false,
    'CREATE TABLE note (id uuid REFERENCES ingested_events)': false,
    'CREATE TABLE person (id uuid PRIMARY KEY); ALTER TABLE ingested_events ADD FOREIGN KEY (user_id) REFERENCES person': false,
    'CREATE PUBLICATION p FOR ALL TABLES': false,
    'CREATE TRIGGER tr BEFORE TRUNCATE ON ingested_events EXECUTE FUNCTION suppress_redundant_updates_trigger()': false,
    'CREATE TRIGGER tr BEFORE DELETE ON ingested_events EXECUTE FUNCTION suppress_redundant_updates_trigger()': true,
    'CREATE ROLE other; GRANT SELECT, INSERT ON ingested_events TO other; SET LOCAL ROLE other': false,
    'CREATE ROLE other; GRANT SELECT, INSERT, TRUNCATE ON ingested_events TO other; SET LOCAL ROLE other': true,
  };
  await t.test('not where that would touch others, or the privilege is lacking', async () => {
    const { database } = await loadingOf([]);
    const client = await openClient(t, database.url);
    for (const [statements, expected] of Object.entries(laid)) {
      await client.query(`BEGIN; ${statements}`);
      const facts = (await readTargetFacts(client, DATASYNC.target)) ?? assert.fail('no table');
      assert.equal(planTarget(facts, 'ignore').sparesWal, expected, statements);
      await client.query('ROLLBACK');
    }
  });
});
