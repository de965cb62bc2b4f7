/** A table that somebody else has made: nothing is altered where none is needed, and what cannot work is refused with 2. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openClient } from '../../support/database.ts';
import { makeOurTable } from '../../support/our-table.ts';
import type { ScriptedOptions } from '../../support/scripted-api.ts';
import { eventsUpTo } from '../../support/scripted-events.ts';
import { ScriptedScene, tailOf, warnings } from '../../support/scripted-scene.ts';

const EVENTS = eventsUpTo(600);

/** The table is made by hand, and has what the statements lay on it, before the job comes. */
async function sceneWith(
  t: TestContext,
  statements: readonly string[],
  options: Partial<ScriptedOptions> = {},
): Promise<ScriptedScene> {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200, ...options });
  await makeOurTable(scene.database);
  for (const statement of statements) await scene.database.query(statement);
  return scene;
}

const OWNS_ALL = (database: string): readonly string[] => [
  'ALTER TABLE ingested_events OWNER TO {job}',
  `GRANT CREATE ON DATABASE ${database} TO {job}`,
  'GRANT CREATE ON SCHEMA public TO {job}',
];

const NEEDS_NO_DDL: Readonly<Record<string, readonly string[]>> = {
  'a view on it': ['CREATE VIEW seen AS SELECT * FROM ingested_events'],
  'a materialized view on it': ['CREATE MATERIALIZED VIEW seen AS SELECT * FROM ingested_events'],
  'a trigger on an id column': [
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
    'CREATE TRIGGER tr BEFORE UPDATE OF session_id ON ingested_events FOR EACH ROW EXECUTE FUNCTION f()',
  ],
  'a policy': [
    'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY',
    'CREATE POLICY p ON ingested_events USING (session_id IS NOT NULL)',
  ],
  'a generated column': [
    'ALTER TABLE ingested_events ADD COLUMN short text GENERATED ALWAYS AS (left(session_id::text, 8)) STORED',
  ],
  'an identity column': ['ALTER TABLE ingested_events ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY'],
  'a default beside a check': [
    `ALTER TABLE ingested_events ADD COLUMN tenant text DEFAULT 'main', ADD CHECK (tenant IS NOT NULL)`,
  ],
  'a column source_order, and none ingested_at': [
    'ALTER TABLE ingested_events ADD COLUMN source_order text, DROP COLUMN ingested_at',
  ],
  'a foreign key that points to it': ['CREATE TABLE notes (event uuid REFERENCES ingested_events)'],
  'a trigger that fills in what no event has': [
    'ALTER TABLE ingested_events ADD COLUMN tenant int NOT NULL',
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.tenant := 1; RETURN NEW; END'`,
    'CREATE TRIGGER tr BEFORE INSERT ON ingested_events FOR EACH ROW EXECUTE FUNCTION f()',
  ],
};

for (const [what, statements] of Object.entries(NEEDS_NO_DDL)) {
  void test(`a table with ${what} is loaded, and updated later`, async (t) => {
    const scene = await sceneWith(t, statements);
    await scene.ingestAll();
    scene.api.options.events = EVENTS.map((event) => ({ ...event, name: `${event.name} again` }));
    await scene.ingestAll(['--full', '--on-conflict', 'update']);
  });
}

void test('partitions by hash are loaded, and what is updated there is counted', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
  await makeOurTable(scene.database, { partitions: 'HASH (id)' });
  for (const n of [0, 1, 2]) {
    await scene.database.query(
      `CREATE TABLE part_${n} PARTITION OF ingested_events FOR VALUES WITH (MODULUS 3, REMAINDER ${n})`,
    );
  }
  await scene.ingestAll();
  scene.api.options.events = EVENTS.map((event, n) => (n < 7 ? { ...event, name: 'changed' } : event));
  await scene.ingestAll(['--full', '--on-conflict', 'update']);
  assert.equal(await scene.count('SELECT updated FROM ingestion.run ORDER BY run_id DESC LIMIT 1'), 7);
});

void test('a table of another owner is loaded with the rights to read and to insert', async (t) => {
  const scene = await sceneWith(t, []);
  const job = await scene.asRole(
    'GRANT SELECT, INSERT ON ingested_events TO {job}',
    `GRANT CREATE ON DATABASE ${scene.database.name} TO {job}`,
  );
  await job.ingestAll();
  const refused = await job.ingest(['--full', '--on-conflict', 'update']);
  await scene.expect(refused, 2, EVENTS);
  assert.match(refused.reason, /GRANT SELECT, INSERT, UPDATE ON public\.ingested_events/);
});

void test('--reset empties a table with a view on it, and loads it again', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
  await scene.ingestAll();
  await scene.database.query('CREATE VIEW seen AS SELECT * FROM ingested_events');
  await scene.expect(await scene.ingest(['--reset', '--yes']), 0, EVENTS);
});

const REFUSED: Readonly<Record<string, { readonly statements: readonly string[]; readonly why: RegExp }>> = {
  'a NOT NULL column that nothing fills': {
    statements: ['ALTER TABLE ingested_events ADD COLUMN tenant int NOT NULL'],
    why: /column tenant is NOT NULL without a default/,
  },
  'a generated column of an event': {
    statements: [
      'ALTER TABLE ingested_events DROP COLUMN browser, ADD COLUMN browser text GENERATED ALWAYS AS (name) STORED',
    ],
    why: /column browser is generated/,
  },
  'a rule': {
    statements: ['CREATE RULE r AS ON INSERT TO ingested_events DO ALSO NOTHING'],
    why: /rule "r"/,
  },
  'no key': {
    statements: ['ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_pkey'],
    why: /no primary key or unique constraint on \(id\)/,
  },
};

for (const [what, { statements, why }] of Object.entries(REFUSED)) {
  void test(`a table with ${what} is refused with 2, and nothing is changed`, async (t) => {
    const scene = await sceneWith(t, statements);
    const ending = await scene.ingest();
    await scene.expect(ending, 2, []);
    assert.match(ending.reason, why);
    assert.equal(await scene.count(`SELECT count(*) FROM pg_namespace WHERE nspname = 'ingestion'`), 0);
    assert.equal(scene.api.pageRequests, 0);
  });
}

void test('a view in the place of the table is refused with 2', async (t) => {
  const scene = await sceneWith(t, [
    'ALTER TABLE ingested_events RENAME TO all_events',
    'CREATE VIEW ingested_events AS SELECT * FROM all_events',
  ]);
  const ending = await scene.ingest();
  assert.equal(ending.code, 2, tailOf(ending));
  assert.match(ending.reason, /it is a view, not a table/);
});

void test('ids of another type than an empty table has are refused with 2 where a view holds the column', async (t) => {
  const events = eventsUpTo(50, (n) => ({ id: `text ${n}` }));
  const scene = await sceneWith(t, ['CREATE VIEW seen AS SELECT id FROM ingested_events'], { events });
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /column id text, and PostgreSQL does not change it: .*view/);
});

void test('rows that row security hides from the job are never deleted, however many ids come twice', async (t) => {
  const scene = await sceneWith(
    t,
    [
      `ALTER TABLE ingested_events ADD COLUMN tenant text DEFAULT 'job'`,
      `INSERT INTO ingested_events (id, name, tenant) SELECT gen_random_uuid(), 'theirs', 'other' FROM generate_series(1, 100)`,
      'ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
      `CREATE POLICY p ON ingested_events USING (tenant = 'job')`,
    ],
    { events: [...EVENTS, ...EVENTS.slice(0, 100)] },
  );
  const job = await scene.asRole(...OWNS_ALL(scene.database.name));
  const ending = await job.ingest();
  assert.equal(ending.code, 0, tailOf(ending));
  const refused = await job.ingest(['--reset', '--yes']);
  assert.equal(refused.code, 2, tailOf(refused));
  assert.match(refused.reason, /rows that this role cannot see/);
  assert.equal(await scene.count(`SELECT count(*) FROM ingested_events WHERE tenant = 'other'`), 100);
  assert.equal(await scene.count(`SELECT count(*) FROM ingested_events WHERE tenant = 'job'`), 600);
});

void test('row security without a policy for the job is refused with 2', async (t) => {
  const scene = await sceneWith(t, ['ALTER TABLE ingested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY']);
  const job = await scene.asRole(...OWNS_ALL(scene.database.name));
  const ending = await job.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /no policy that lets the role .* SELECT/);
});

void test('a published table takes ids that come twice', async (t) => {
  const events = [...EVENTS, ...EVENTS.slice(0, 10)];
  const scene = await sceneWith(t, ['CREATE PUBLICATION p FOR ALL TABLES'], { events });
  await scene.expect(await scene.ingest(), 0, EVENTS);
});

void test('a schema ingestion of somebody else is refused with its owner and what is in it', async (t) => {
  for (const table of ['schema_version', 'run']) {
    const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
    await scene.database.query(`CREATE SCHEMA ingestion; CREATE TABLE ingestion.${table} (v text)`);
    const ending = await scene.ingest();
    assert.equal(ending.code, 2, tailOf(ending));
    assert.match(ending.reason, new RegExp(`"ingestion" .* belongs to postgres and has ${table}`));
  }
});

void test('a database without the schema public is refused with 2', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
  await scene.database.query('DROP SCHEMA public');
  const ending = await scene.ingest();
  assert.equal(ending.code, 2, tailOf(ending));
  assert.match(ending.reason, /no schema public/);
  assert.equal(await scene.count(`SELECT count(*) FROM pg_namespace WHERE nspname = 'ingestion'`), 0);
});

void test('a role that may not make the table is refused with 2, and no schema is left behind', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
  await scene.database.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  const job = await scene.asRole(`GRANT CREATE ON DATABASE ${scene.database.name} TO {job}`);
  const ending = await job.ingest();
  assert.equal(ending.code, 2, tailOf(ending));
  assert.match(ending.reason, /GRANT CREATE, USAGE ON SCHEMA public TO /);
  assert.equal(await scene.count(`SELECT count(*) FROM pg_namespace WHERE nspname = 'ingestion'`), 0);
});

void test('a transaction that only reads the table does not keep the job from filling it', async (t) => {
  const scene = await sceneWith(t, []);
  const reader = await openClient(t, scene.database.url);
  await reader.query('BEGIN; SELECT count(*) FROM ingested_events');
  await scene.ingestAll();
});

void test('whoever holds the table is named, and --max-wait ends the wait with 4', async (t) => {
  const scene = await sceneWith(t, []);
  const holder = await openClient(t, scene.database.url);
  await holder.query('BEGIN; LOCK TABLE ingested_events IN SHARE MODE');
  const ending = await scene.ingest(['--max-wait', '3']);
  await scene.expect(ending, 4, []);
  assert.match(ending.reason, /process \d+ \(role postgres, application "test", .*LOCK TABLE ingested_events/);
  assert.equal(warnings(ending, /^waiting for a lock that another session holds$/).length, 1, tailOf(ending));
  await holder.query('ROLLBACK');
  await scene.ingestAll();
});
