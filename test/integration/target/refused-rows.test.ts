/** What the target refuses is found by leaving it out, whatever SQLSTATE the refusal has; where all is refused, it is the table. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { makeOurTable } from '../../support/our-table.ts';
import { eventsUpTo, newerEvents, type ScriptedEvent } from '../../support/scripted-events.ts';
import { ScriptedScene, tailOf } from '../../support/scripted-scene.ts';

const EVENTS = eventsUpTo(600);

async function sceneWith(
  t: TestContext,
  statements: readonly string[],
  events: readonly ScriptedEvent[] = EVENTS,
): Promise<ScriptedScene> {
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  await makeOurTable(scene.database);
  for (const statement of statements) await scene.database.query(statement);
  return scene;
}

/** A trigger with a body of its own. */
function trigger(when: string, body: string): readonly string[] {
  return [
    `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$`,
    `CREATE TRIGGER tr ${when} ON ingested_events FOR EACH ROW EXECUTE FUNCTION f()`,
  ];
}

for (const state of ['P0001', 'P0002', 'P0004', 'UE001', '42501', '42P01', '55000', '0A000', 'XX000']) {
  void test(`an event that a trigger refuses with ${state} is set aside, and no other`, async (t) => {
    const refuse = `IF NEW.name = 'event_77' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '${state}'; END IF;`;
    const scene = await sceneWith(t, trigger('BEFORE INSERT', refuse));
    const others = EVENTS.filter(({ name }) => name !== 'event_77');
    await scene.expect(await scene.ingest(), 0, others);
    const reasons = Object.entries(await scene.rejected());
    assert.equal(reasons.length, 1);
    assert.match(reasons[0]?.[0] ?? '', /refused by the merge: not this one/);
  });
}

void test('an error that is surely about no row ends the run with 2, and names the function that raised it', async (t) => {
  const refuse = `IF NEW.name = 'event_77' THEN RAISE EXCEPTION 'no link' USING ERRCODE = 'HV00N'; END IF;`;
  const scene = await sceneWith(t, trigger('BEFORE INSERT', refuse));
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /\(merge, .*no link \(HV00N\), in PL\/pgSQL function f\(\) line 1 at RAISE\)/);
  assert.deepEqual(await scene.rejected(), {});
});

void test('a table that refuses thousands of events, and takes none, ends the run with 2, and nothing is set aside', async (t) => {
  const events = eventsUpTo(4_000);
  const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD CHECK (device_type IS NULL)'], events);
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /refuses every row that was tried \(\d+ times 23514: .*violates check constraint/);
  assert.deepEqual(await scene.rejected(), {});
  await scene.database.query('ALTER TABLE ingested_events DROP CONSTRAINT ingested_events_device_type_check');
  await scene.ingestAll();
});

void test('few events that are refused alone in their merge are set aside, and the next ones are loaded', async (t) => {
  const scene = await sceneWith(t, [`ALTER TABLE ingested_events ADD CHECK (name <> 'event_-1')`]);
  await scene.ingestAll();
  scene.api.options.events = [
    ...eventsUpTo(1, () => ({ id: '00000000-0000-4000-8000-000000000001', name: 'event_-1' })),
    ...EVENTS,
  ];
  await scene.expect(await scene.ingest(['--max-rejected', '100%']), 0, EVENTS);
  assert.equal(Object.keys(await scene.rejected()).length, 1);
});

void test('a change that a trigger leaves out is an anomaly', async (t) => {
  const scene = await sceneWith(t, trigger('BEFORE UPDATE', `IF OLD.name = 'event_5' THEN RETURN NULL; END IF;`));
  await scene.ingestAll();
  const changed = EVENTS.map((event) => ({ ...event, properties: { changed: true } }));
  scene.api.options.events = changed;
  const ending = await scene.ingest(['--full', '--on-conflict', 'update']);
  assert.equal(ending.code, 0, tailOf(ending));
  assert.deepEqual(Object.values(await scene.rejected()), [1]);
  assert.equal(await scene.count(`SELECT count(*) FROM ingested_events WHERE properties ? 'changed'`), 599);
});

void test('a column whose type was changed between two starts is no reason to fail', async (t) => {
  const scene = await sceneWith(t, []);
  await scene.stopAt(({ number }) => number === 2);
  await scene.database.query('ALTER TABLE ingested_events ALTER COLUMN session_id TYPE text');
  await scene.expect(await scene.ingest(), 0, EVENTS);
});

void test('many events that are refused again by a later run do not condemn the table', async (t) => {
  const events = eventsUpTo(2_000, (n) => ({ name: `one of ${n % 200}` }));
  const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD UNIQUE (name)'], events);
  for (const flags of [[], ['--full']]) {
    const ending = await scene.ingest(['--max-rejected', '100%', ...flags]);
    assert.equal(ending.code, 0, tailOf(ending));
    assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), 200);
  }
});

void test('an event that is refused again by a later run, with nothing new beside it, does not end that run', async (t) => {
  const refuse = `IF NEW.name = 'event_7' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'UE001'; END IF;`;
  const scene = await sceneWith(t, trigger('BEFORE INSERT', refuse));
  const others = EVENTS.filter(({ name }) => name !== 'event_7');
  await scene.expect(await scene.ingest(), 0, others);
  await scene.expect(await scene.ingest(), 0, others);
});

void test('a row that a trigger changes as it comes is a duplicate when it is served again, and no anomaly', async (t) => {
  const scene = await sceneWith(t, trigger('BEFORE INSERT', 'NEW.browser := upper(NEW.browser);'));
  await scene.ingestAll(['--on-conflict', 'update']);
  await scene.ingestAll(['--full', '--on-conflict', 'update']);
  assert.deepEqual(await scene.rejected(), {});
  assert.equal(await scene.count('SELECT updated + rejected FROM ingestion.run ORDER BY run_id DESC LIMIT 1'), 0);
});

void test('old events that are all refused in a merge of their own are set aside, because the run has loaded newer ones', async (t) => {
  const oldest = new Date(EVENTS[400]?.timestamp ?? 0).toISOString();
  const scene = await sceneWith(t, [`ALTER TABLE ingested_events ADD CHECK (occurred_at > '${oldest}')`]);
  await scene.stopAt(({ number }) => number === 2);
  await scene.expect(await scene.ingest(['--max-rejected', '100%']), 0, EVENTS.slice(0, 400));
  assert.deepEqual(Object.values(await scene.rejected()), [200]);
});

void test('new events whose keys are all taken are set aside, and condemn no table', async (t) => {
  const scene = await sceneWith(t, ['ALTER TABLE ingested_events ADD UNIQUE (name)']);
  await scene.ingestAll();
  scene.api.options.events = [...newerEvents(50, (n) => ({ name: `event_${n + 100}` })), ...EVENTS];
  await scene.expect(await scene.ingest(['--max-rejected', '100%']), 0, EVENTS);
  assert.equal(await scene.count(`SELECT count(*) FROM ingestion.anomaly WHERE kind = 'rejected'`), 50);
});
