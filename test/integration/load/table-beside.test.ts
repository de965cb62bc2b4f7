/** The first merge fills a table beside the empty target, which takes its place: unless anybody has hung something on the target. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countRows, isTargetUntouched } from '../../../src/load/state/target-rows.ts';
import { databaseIn, openClient, testCluster, type TestDatabase } from '../../support/database.ts';
import { DATASYNC } from '../../support/datasync.ts';
import {
  TEXT_IDS,
  UUID_IDS,
  eventsOf,
  eventually,
  ids,
  pageOf,
  startLoading,
  targetRows,
  type Loading,
} from './setup.ts';

const COUNT = 10;

async function oidOf(database: TestDatabase): Promise<number> {
  return database.number(`'ingested_events'::regclass::oid::bigint`);
}

/** What a person sees of the table in psql, but its number. */
async function namesOf(database: TestDatabase): Promise<unknown> {
  const { rows } = await database.query(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
     UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
     UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace ORDER BY 1`,
  );
  return rows;
}

/** @param meanwhile what happens while the rows are moved */
async function merge({ loader, merger }: Loading, meanwhile: () => Promise<unknown> = () => Promise.resolve()) {
  await loader.load(pageOf(eventsOf(ids('e', COUNT))));
  return merger().merge('a', 1, async () => {
    await meanwhile();
    return null;
  });
}

for (const types of [TEXT_IDS, UUID_IDS]) {
  test(`a filled table takes the place of the empty one, with its names, when ids are ${types.id}`, async (t) => {
    const loading = await startLoading(t, { types });
    const { database, loader, merger } = loading;
    await loading.store.rememberRows(await countRows(loading.db, DATASYNC));
    const [oid, names] = [await oidOf(database), await namesOf(database)];
    const uuids = Array.from({ length: COUNT }, (_, n) => `00000000-0000-4000-8000-00000000000${n}`);
    await loader.load(pageOf(eventsOf(uuids), { types }));
    const { inserted, isInitialMerge } = await merger().merge('a', 1);
    assert.deepEqual([inserted, isInitialMerge], [COUNT, true]);
    assert.notEqual(await oidOf(database), oid);
    assert.deepEqual(await namesOf(database), names);
    const own = { inserted, epoch: loading.ownership.epoch };
    assert.equal(await isTargetUntouched(loading.db, DATASYNC, own), true);
    await loader.load(pageOf(eventsOf(uuids), { page: 2, types }));
    assert.deepEqual((await merger().merge('a', 1)).duplicates, COUNT);
  });
}

test('nobody waits for the empty table while rows are moved, and who asks again has all of them', async (t) => {
  const loading = await startLoading(t);
  const person = await openClient(t, loading.database.url);
  await person.query(`SET lock_timeout = 1000; PREPARE look AS SELECT count(*)::int AS rows FROM ingested_events`);
  const look = async (): Promise<unknown> => (await person.query('EXECUTE look')).rows;
  await merge(loading, async () => {
    assert.deepEqual(await look(), [{ rows: 0 }]);
  });
  assert.deepEqual(await look(), [{ rows: COUNT }]);
});

test('who waits for the table while it changes places reads the filled one', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  const [first, second] = [await openClient(t, database.url), await openClient(t, database.url)];
  const waits = async (sql: string): Promise<void> => {
    await eventually(database, `SELECT FROM pg_locks WHERE NOT granted AND mode = '${sql}'`);
  };
  const merging = merge(loading, () => first.query('BEGIN; SELECT count(*) FROM ingested_events'));
  await waits('AccessExclusiveLock');
  const reading = second.query<{ rows: number }>('SELECT count(*)::int AS rows FROM ingested_events');
  await waits('AccessShareLock');
  await first.query('COMMIT');
  assert.equal((await merging).isInitialMerge, true);
  // It may have come in between two tries to have the table alone.
  assert.ok([0, COUNT].includes((await reading).rows[0]?.rows ?? -1));
  assert.equal((await targetRows(database)).length, COUNT);
});

const ROLE = 'reader_of_a_table';
/** What anybody may hang on the table, and what shows that it is there. */
const TOUCHES: Readonly<Record<string, readonly [statements: string, shown: string]>> = {
  'a grant': [
    `GRANT SELECT ON ingested_events TO ${ROLE}`,
    `has_table_privilege('${ROLE}', 'ingested_events', 'SELECT')`,
  ],
  'a grant of a column': [
    `GRANT SELECT (name) ON ingested_events TO ${ROLE}`,
    `has_column_privilege('${ROLE}', 'ingested_events', 'name', 'SELECT')`,
  ],
  'a comment': [
    `COMMENT ON TABLE ingested_events IS 'ours'`,
    `obj_description('ingested_events'::regclass, 'pg_class') = 'ours'`,
  ],
  'a comment on a column': [
    `COMMENT ON COLUMN ingested_events.name IS 'ours'`,
    `col_description('ingested_events'::regclass, 5) = 'ours'`,
  ],
  'a comment on its row type': [
    `COMMENT ON TYPE ingested_events IS 'ours'`,
    `obj_description('ingested_events'::regtype, 'pg_type') = 'ours'`,
  ],
  'a right to its row type that is taken away': [
    'REVOKE USAGE ON TYPE ingested_events FROM PUBLIC',
    `NOT has_type_privilege('${ROLE}', 'ingested_events', 'USAGE')`,
  ],
  'an option': [
    'ALTER TABLE ingested_events SET (autovacuum_enabled = false)',
    `EXISTS (SELECT FROM pg_class WHERE relname = 'ingested_events' AND reloptions IS NOT NULL)`,
  ],
  'an option of its TOAST table': [
    'ALTER TABLE ingested_events SET (toast.autovacuum_enabled = false)',
    `EXISTS (SELECT FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relname = 'ingested_events' AND t.reloptions IS NOT NULL)`,
  ],
  'an option of a column': [
    'ALTER TABLE ingested_events ALTER name SET STATISTICS 500',
    `EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ingested_events'::regclass AND attstattarget = 500)`,
  ],
  'a storage of a column': [
    'ALTER TABLE ingested_events ALTER extra SET STORAGE EXTERNAL',
    `EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ingested_events'::regclass AND attname = 'extra' AND attstorage = 'e')`,
  ],
  'a column': [
    `ALTER TABLE ingested_events ADD note text DEFAULT 'x'`,
    `(SELECT count(*) FROM ingested_events WHERE note = 'x') = ${COUNT}`,
  ],
  'another default': [
    `ALTER TABLE ingested_events ALTER browser SET DEFAULT 'none'`,
    `EXISTS (SELECT FROM pg_attrdef WHERE adrelid = 'ingested_events'::regclass AND adnum = 9)`,
  ],
  'a check': [
    'ALTER TABLE ingested_events ADD CONSTRAINT named CHECK (name IS NULL OR length(name) > 0)',
    `EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'ingested_events'::regclass AND conname = 'named')`,
  ],
  'an index': ['CREATE INDEX ours ON ingested_events (name)', `to_regclass('ours') IS NOT NULL`],
  'extended statistics': [
    'CREATE STATISTICS ours ON name, type FROM ingested_events',
    `EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = 'ingested_events'::regclass)`,
  ],
  'a view': [
    'CREATE VIEW ours AS SELECT count(*)::int AS rows FROM ingested_events',
    `(SELECT rows FROM ours) = ${COUNT}`,
  ],
  'a function with its row type': [
    'CREATE FUNCTION ours(ingested_events) RETURNS text LANGUAGE sql AS $$ SELECT $1.id::text $$',
    `(SELECT count(ours(e)) FROM ingested_events e) = ${COUNT}`,
  ],
  'a column of its row type': [
    'CREATE TABLE ours (event ingested_events)',
    `EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ours'::regclass AND atttypid = 'ingested_events'::regtype)`,
  ],
  'a trigger that is turned off': [
    `CREATE FUNCTION ours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
     CREATE TRIGGER ours AFTER UPDATE ON ingested_events FOR EACH ROW EXECUTE FUNCTION ours();
     ALTER TABLE ingested_events DISABLE TRIGGER ours`,
    `EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'ingested_events'::regclass AND tgname = 'ours')`,
  ],
  'a rule': [
    'CREATE RULE ours AS ON DELETE TO ingested_events DO ALSO NOTHING',
    `EXISTS (SELECT FROM pg_rewrite WHERE ev_class = 'ingested_events'::regclass AND rulename = 'ours')`,
  ],
  'a policy that is not in force': [
    'CREATE POLICY ours ON ingested_events USING (true)',
    `EXISTS (SELECT FROM pg_policy WHERE polrelid = 'ingested_events'::regclass)`,
  ],
  'a replica identity': [
    'ALTER TABLE ingested_events REPLICA IDENTITY FULL',
    `EXISTS (SELECT FROM pg_class WHERE relname = 'ingested_events' AND relreplident = 'f')`,
  ],
  'a sequence of its own': ['CREATE SEQUENCE ours OWNED BY ingested_events.name', `to_regclass('ours') IS NOT NULL`],
  'another key': [
    'ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey, ADD CONSTRAINT ours UNIQUE (id)',
    `EXISTS (SELECT FROM pg_constraint WHERE conname = 'ours' AND contype = 'u')`,
  ],
  'a publication': [
    'CREATE PUBLICATION ours FOR TABLE ingested_events',
    `EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = 'ingested_events'::regclass)`,
  ],
  'an event trigger': [
    `CREATE FUNCTION ours() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'seen'; END $$;
     CREATE EVENT TRIGGER ours ON sql_drop EXECUTE FUNCTION ours()`,
    `EXISTS (SELECT FROM pg_event_trigger)`,
  ],
};

const LATE = ['a grant', 'a comment on its row type', 'a column', 'a view'];

test('a table on which anybody has hung something stays, with all that hangs on it', async (t) => {
  const cluster = await testCluster(t);
  for (const [what, [statements, shown]] of Object.entries(TOUCHES)) {
    // The look is the same one: not each of them has to come late, too.
    for (const when of LATE.includes(what) ? ['before', 'while rows are moved'] : ['before']) {
      await t.test(`${what}, ${when}`, async (t) => {
        const loading = await startLoading(t, { database: await databaseIn(t, cluster) });
        const { database } = loading;
        await database.query(`DO $$ BEGIN IF to_regrole('${ROLE}') IS NULL THEN CREATE ROLE ${ROLE}; END IF; END $$`);
        const touch = async (): Promise<number> => {
          await database.query(statements);
          return oidOf(database);
        };
        let oid: number | undefined = when === 'before' ? await touch() : undefined;
        const { inserted } = await merge(loading, async () => {
          oid ??= await touch();
        });
        assert.equal(inserted, COUNT);
        assert.equal(await oidOf(database), oid);
        assert.deepEqual((await database.query(`SELECT ${shown} AS shown`)).rows, [{ shown: true }]);
        assert.equal((await targetRows(database)).length, COUNT);
      });
    }
  }
});

test('names that somebody gave to its constraints stay', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  await database.query('ALTER TABLE ingested_events RENAME CONSTRAINT ingested_events_pkey TO ours');
  const [oid, names] = [await oidOf(database), await namesOf(database)];
  await merge(loading);
  assert.notEqual(await oidOf(database), oid);
  assert.deepEqual(await namesOf(database), names);
});

test('privileges that every new table gets do not keep the filled one from the place', async (t) => {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  await database.query(
    `CREATE ROLE ${ROLE}; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${ROLE}`,
  );
  const loading = await startLoading(t, { database });
  const oid = await oidOf(database);
  await merge(loading);
  assert.notEqual(await oidOf(database), oid);
  assert.equal(await database.number(`has_table_privilege('${ROLE}', 'ingested_events', 'SELECT')::int`), 1);
});

test('rows that somebody puts into the table while it is filled beside stay, also where they are deleted again', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  const oid = await oidOf(database);
  const person = await openClient(t, database.url);
  await merge(loading, async () => {
    await database.query(`INSERT INTO ingested_events (id, name) VALUES ('e000003', 'mine'), ('mine', 'mine')`);
    await person.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    await database.query(`DELETE FROM ingested_events WHERE id = 'mine'`);
  });
  assert.equal(await oidOf(database), oid);
  const { rows } = await person.query('SELECT id FROM ingested_events ORDER BY id');
  assert.deepEqual(rows, [{ id: 'e000003' }, { id: 'mine' }]);
  const found = await targetRows(database);
  assert.deepEqual([found.length, found[3]], [COUNT, { id: 'e000003', name: 'mine' }]);
});

test('who holds the table when it shall change places, and lets go of it, is waited for', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  const oid = await oidOf(database);
  const person = await openClient(t, database.url);
  const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
  const merging = merge(loading, () => person.query('BEGIN; SELECT count(*) FROM ingested_events'));
  await eventually(database, waiting);
  await eventually(database, `SELECT WHERE NOT EXISTS (${waiting})`);
  await person.query('COMMIT');
  assert.equal((await merging).isInitialMerge, true);
  assert.notEqual(await oidOf(database), oid);
});

test('what decodes the changes of a database logically sees no table change places', async (t) => {
  const cluster = await testCluster(t, { settings: { wal_level: 'logical' } });
  const loading = await startLoading(t, { database: await databaseIn(t, cluster) });
  const { database } = loading;
  await database.query(`SELECT pg_create_logical_replication_slot('ours', 'test_decoding')`);
  const oid = await oidOf(database);
  assert.equal((await merge(loading)).isInitialMerge, true);
  assert.equal(await oidOf(database), oid);
  const { rows } = await database.query<{ data: string }>(
    `SELECT data FROM pg_logical_slot_get_changes('ours', NULL, NULL) WHERE data LIKE 'table public.%'`,
  );
  assert.equal(rows.filter(({ data }) => data.startsWith('table public.ingested_events: INSERT')).length, COUNT);
  assert.equal(rows.length, COUNT);
});
