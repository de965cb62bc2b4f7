/** Somebody else's table, where data alone does not make the case: those of the documents, and who holds it. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openClient } from '../../support/database.ts';
import { makeOurTable } from '../../support/our-table.ts';
import type { ScriptedOptions } from '../../support/scripted-api.ts';
import { eventsUpTo } from '../../support/scripted-events.ts';
import { ScriptedScene, tailOf, warnings } from '../../support/scripted-scene.ts';
import { isQuick } from './play-case.ts';
import { TOLD_CASES } from './told-cases.ts';

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

/** The types make sure that each has its test. */
const PLAYED: Readonly<Record<keyof typeof TOLD_CASES, (t: TestContext) => Promise<void>>> = {
  reader: async (t) => {
    const scene = await sceneWith(t, []);
    const reader = await openClient(t, scene.database.url);
    await reader.query('BEGIN; SELECT count(*) FROM ingested_events');
    assert.equal(isQuick(await scene.ingestAll()), false);
  },
  pointsToItself: async (t) => {
    // Each event points to the one that is newer by one, which is merged before or after it as their ids fall.
    const events = eventsUpTo(300).map((event, n, all) => ({ ...event, sessionId: all[n - 1]?.['id'] ?? event['id'] }));
    const scene = await sceneWith(
      t,
      ['ALTER TABLE ingested_events ADD FOREIGN KEY (session_id) REFERENCES ingested_events'],
      { events },
    );
    assert.equal(isQuick(await scene.ingestAll()), false);
  },
  viewAtReset: async (t) => {
    const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
    await scene.ingestAll();
    await scene.database.query('CREATE VIEW seen AS SELECT * FROM ingested_events');
    const ending = await scene.ingest(['--reset', '--yes']);
    await scene.expect(ending, 0, EVENTS);
    assert.equal(isQuick(ending), true);
  },
  otherUniqueKey: async (t) => {
    const events = eventsUpTo(10_000, (n) => ({ name: `one of ${n % 200}` }));
    const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD UNIQUE (name)'], { events, maxPage: 5_000 });
    const ending = await scene.ingest(['--max-rejected', '100%', '--page-size', '5000']);
    assert.equal(ending.code, 0, tailOf(ending));
    assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), 200);
    const reasons = Object.entries(await scene.rejected());
    for (const [reason] of reasons) assert.ok(reason.includes(TOLD_CASES.otherUniqueKey.reason), reason);
    assert.equal(
      reasons.reduce((sum, [, rejected]) => sum + rejected, 0),
      9_800,
    );
  },
  hiddenRows: async (t) => {
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
    assert.ok(refused.reason.includes(TOLD_CASES.hiddenRows.says), refused.reason);
    assert.equal(await scene.count(`SELECT count(*) FROM ingested_events WHERE tenant = 'other'`), 100);
    assert.equal(await scene.count(`SELECT count(*) FROM ingested_events WHERE tenant = 'job'`), 600);
  },
  givesOtherIds: async (t) => {
    const scene = await sceneWith(t, [
      `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := gen_random_uuid(); RETURN NEW; END $$`,
      'CREATE TRIGGER tr BEFORE INSERT ON ingested_events FOR EACH ROW EXECUTE FUNCTION f()',
    ]);
    const ending = await scene.ingest();
    await scene.expect(ending, 2, []);
    assert.ok(ending.reason.includes(TOLD_CASES.givesOtherIds.says), ending.reason);
    await scene.database.query('DROP TRIGGER tr ON ingested_events');
    await scene.ingestAll();
  },
  refusesAll: async (t) => {
    const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD CHECK (device_type IS NULL)']);
    const ending = await scene.ingest();
    await scene.expect(ending, 2, []);
    assert.ok(ending.reason.includes(`${TOLD_CASES.refusesAll.says} (600 times 23514: `), ending.reason);
    assert.deepEqual(await scene.rejected(), {});
    await scene.database.query('ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_device_type_check');
    await scene.ingestAll();
  },
};

const isTold = (name: string): name is keyof typeof TOLD_CASES => Object.hasOwn(TOLD_CASES, name);

for (const name of Object.keys(TOLD_CASES).filter(isTold)) {
  void test(`a table with ${TOLD_CASES[name].what}: ${TOLD_CASES[name].outcome}`, PLAYED[name]);
}

void test('a schema ingestion of somebody else is refused with its owner and what is in it', async (t) => {
  for (const [name, made] of Object.entries({
    schema_version: 'TABLE ingestion.schema_version (v text)',
    run: 'TABLE ingestion.run (v text)',
    outcome: `TYPE ingestion.outcome AS ENUM ('good', 'bad')`,
  })) {
    const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
    await scene.database.query(`CREATE SCHEMA ingestion; CREATE ${made}`);
    const ending = await scene.ingest();
    assert.equal(ending.code, 2, tailOf(ending));
    assert.match(ending.reason, new RegExp(`"ingestion" .* belongs to postgres and has ${name}`));
  }
});

/** What a person may drop while the job runs, and what the last line says then. */
for (const [what, { statement, says }] of Object.entries({
  'a table': {
    statement: 'DROP TABLE ingested_events',
    says: /changed while the job ran, .*(does not exist|not there any more).* the pages stay staged/,
  },
  'a schema ingestion': {
    statement: 'DROP SCHEMA ingestion CASCADE',
    says: /ingestion\S* does not exist .*What was merged is safe: find out who has dropped it/,
  },
})) {
  void test(`${what} that is dropped while the job runs ends it with 2, and the next start makes it anew`, async (t) => {
    const scene = await sceneWith(t, []);
    scene.api.options.hook = async ({ number }) => {
      if (number === 2) await scene.database.query(statement);
      return undefined;
    };
    const ending = await scene.ingest();
    assert.equal(ending.code, 2, tailOf(ending));
    assert.match(ending.reason, says);
    delete scene.api.options.hook;
    await scene.ingestAll();
  });
}

/** What a person may do to the job's role and database while it runs. */
for (const [what, { statement, says }] of Object.entries({
  'its rights': {
    statement: 'REVOKE ALL ON ALL TABLES IN SCHEMA ingestion FROM {job}',
    says: /permission denied for table .* GRANT the role what it lacks/,
  },
  'its password': {
    statement: `ALTER ROLE {job} PASSWORD 'another'`,
    says: /password authentication failed.* mend the password/,
  },
  'its login': { statement: 'ALTER ROLE {job} NOLOGIN', says: /not permitted to log in.* let the role log in/ },
})) {
  void test(`a role that loses ${what} while the job runs ends it with 2, and the next start goes on`, async (t) => {
    const scene = await sceneWith(t, []);
    const { name } = scene.database;
    const job = await scene.asRole(...OWNS_ALL(name));
    scene.api.options.hook = async ({ number }) => {
      if (number !== 2) return undefined;
      await scene.database.query(statement.replaceAll('{job}', `${name}_job`));
      const theirs = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${name}_job'`;
      await scene.database.query(theirs);
      return undefined;
    };
    const ending = await job.ingest();
    await scene.expect(ending, 2, []);
    assert.match(ending.reason, says);
    delete scene.api.options.hook;
    await scene.database.query(`GRANT ALL ON ALL TABLES IN SCHEMA ingestion TO ${name}_job`);
    await scene.ingestAll();
  });
}

void test('an event trigger that forbids tables after the first start stops no load, and one with a refused event ends with 2', async (t) => {
  const scene = await sceneWith(t, [`ALTER TABLE ingested_events ADD CONSTRAINT c CHECK (name <> 'event_7')`]);
  scene.api.options.events = [];
  await scene.ingest();
  await scene.database.query(
    `CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', tg_tag; END $$;
     CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION no_ddl()`,
  );
  scene.api.options.events = EVENTS;
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /no CREATE TABLE.*in PL\/pgSQL function no_ddl\(\) .*let it spare the job/);
  await scene.database.query(
    `ALTER EVENT TRIGGER frozen DISABLE; ALTER TABLE ingested_events DROP CONSTRAINT c; ALTER EVENT TRIGGER frozen ENABLE`,
  );
  await scene.ingestAll();
});

void test('a rule that comes while the job runs ends it with 2 and its name', async (t) => {
  const scene = await sceneWith(t, []);
  scene.api.options.hook = async ({ number }) => {
    if (number === 2) await scene.database.query('CREATE RULE r AS ON INSERT TO ingested_events DO ALSO NOTHING');
    return undefined;
  };
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /its rule "r".* the pages stay staged/);
  await scene.database.query('DROP RULE r ON ingested_events');
  delete scene.api.options.hook;
  await scene.ingestAll();
});

void test('pages whose staged rows somebody has deleted are fetched again, by the same job and by the next', async (t) => {
  const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD CHECK (device_type IS NULL) NOT VALID']);
  const refused = await scene.ingest();
  await scene.expect(refused, 2, []);
  await scene.database.query('TRUNCATE ingestion.staging_a_1, ingestion.staging_b_1');
  await scene.database.query('ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_device_type_check');
  let deleted = 0;
  scene.api.options.hook = async ({ usual }) => {
    if (usual.isLast && deleted === 0) {
      deleted = (await scene.database.query('DELETE FROM ingestion.staging_a_1')).rowCount ?? 0;
    }
    return undefined;
  };
  const ending = await scene.ingestAll();
  assert.ok(deleted > 0);
  assert.equal(warnings(ending, /its ledger says \d+: somebody has changed it/).length, 2, tailOf(ending));
});

void test('a change of nothing but case is an update, also where a collation takes both for equal', async (t) => {
  const scene = await sceneWith(t, [
    `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    'ALTER TABLE ingested_events ALTER COLUMN name TYPE text COLLATE loose',
  ]);
  await scene.ingestAll();
  scene.api.options.events = EVENTS.map((event) => ({ ...event, name: event.name.toUpperCase() }));
  await scene.ingestAll(['--on-conflict', 'update', '--full']);
});

void test('the key comes back to the tablespace in which it was, whatever the default is', async (t) => {
  const scene = await sceneWith(t, []);
  const admin = await openClient(t, scene.database.url);
  const { name } = scene.database;
  await admin.query('SET allow_in_place_tablespaces = on');
  await admin.query(`CREATE TABLESPACE fast_${name} LOCATION ''`);
  await admin.query(`ALTER DATABASE ${name} SET default_tablespace = fast_${name}`);
  assert.equal(isQuick(await scene.ingestAll()), true);
  assert.equal(await scene.count(`SELECT reltablespace FROM pg_class WHERE relname = 'ingested_events_pkey'`), 0);
});

void test('rows that somebody has moved into a table that inherits are not loaded again, and --reset leaves them alone', async (t) => {
  const scene = await sceneWith(t, []);
  await scene.ingestAll();
  await scene.database.query(
    `CREATE TABLE archive () INHERITS (ingested_events);
     WITH old AS (DELETE FROM ONLY ingested_events WHERE name < 'event_2' RETURNING *) INSERT INTO archive SELECT * FROM old`,
  );
  await scene.ingestAll(['--full']);
  assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), 600);
  const refused = await scene.ingest(['--reset', '--yes']);
  await scene.expect(refused, 2, EVENTS);
  assert.match(refused.reason, /^archive inherits from /);
});

void test('whoever holds the table is named, and --max-wait ends the wait with 4', async (t) => {
  const scene = await sceneWith(t, []);
  const holder = await openClient(t, scene.database.url);
  await holder.query(`BEGIN; SELECT 'of nobody else'; LOCK TABLE ingested_events IN SHARE MODE`);
  const ending = await scene.ingest(['--max-wait', '3']);
  await scene.expect(ending, 4, []);
  assert.match(ending.reason, /process \d+ \(role postgres, application "test", .*LOCK TABLE ingested_events/);
  assert.doesNotMatch(tailOf(ending), /of nobody else/);
  assert.equal(warnings(ending, /^waiting for a lock that another session holds$/).length, 1, tailOf(ending));
  await holder.query('ROLLBACK');
  await scene.ingestAll();
});

void test('text columns of an empty table stay text, whatever ids come', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200 });
  await makeOurTable(scene.database, { idType: 'text' });
  await scene.ingestAll();
  const type = `SELECT count(*) FROM pg_attribute
                 WHERE attrelid = 'ingested_events'::regclass AND attname = 'id' AND atttypid = 'text'::regtype`;
  assert.equal(await scene.count(type), 1);
});
