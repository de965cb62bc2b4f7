/** A row that a trigger leaves out in silence is an anomaly, not a duplicate. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOurTable } from '../../support/our-table.ts';
import { eventsUpTo, newerEvents, type ScriptedEvent } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf, type Ending } from '../../support/scripted-scene.ts';

const COUNT = 2_000;

/** Lays a trigger on the table that returns NULL for the events that are named `skipped`. */
async function layTrigger(scene: ScriptedScene): Promise<void> {
  await scene.database.query(
    `CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF NEW.name = 'skipped' THEN RETURN NULL; END IF; RETURN NEW; END $$`,
  );
  await scene.database.query(
    `CREATE TRIGGER quiet_trigger BEFORE INSERT ON ingested_events FOR EACH ROW EXECUTE FUNCTION leave_out()`,
  );
}

/** One event of `every` is left out; never the newest, which the look for newer events meets again. */
function withSkipped(every: number): ScriptedEvent[] {
  return eventsUpTo(COUNT, (n) => (n % every === 1 ? { name: 'skipped' } : {}));
}

const kept = (events: readonly ScriptedEvent[]): ScriptedEvent[] => events.filter(({ name }) => name !== 'skipped');

/** That many anomalies with the trigger's name; the newest event alone is served twice. */
async function assertLeftOut(scene: ScriptedScene, count: number, ending: Ending): Promise<void> {
  const reasons = Object.entries(await scene.rejected());
  assert.deepEqual(
    reasons.map(([reason, events]) => [reason.includes('quiet_trigger'), events]),
    [[true, count]],
    tailOf(ending),
  );
  assert.equal(await scene.count('SELECT sum(rejected) FROM ingestion.run'), count);
  const duplicates = await scene.count('SELECT sum(duplicates) FROM ingestion.run');
  assert.ok(duplicates <= 1, `${duplicates} duplicates`);
}

void test('rows that a trigger leaves out are rejected with its name, and so many end with 5', async (t) => {
  const events = withSkipped(10);
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 200 });
  await makeOurTable(scene.database);
  await layTrigger(scene);
  const ending = await scene.ingest();
  await scene.expect(ending, 5, kept(events));
  await assertLeftOut(scene, 200, ending);
  assert.match(ending.reason, /quiet_trigger/);
});

for (const shape of ['doc', 'live'] as const) {
  void test(`few rows that a trigger leaves out are rejected with its name, and end with 0 (${shape} shape)`, async (t) => {
    const events = withSkipped(50);
    const scene = await ScriptedScene.open(t, { events, shape, maxPage: 200 });
    await makeOurTable(scene.database);
    await layTrigger(scene);
    const ending = await scene.ingest();
    await scene.expect(ending, 0, kept(events));
    await assertLeftOut(scene, 40, ending);
    assertProof(ending, shape === 'doc' ? 'api-end' : 'count');
  });
}

void test('rows that a trigger leaves out of later merges are rejected with its name', async (t) => {
  for (const flags of [[], ['--on-conflict', 'update']]) {
    const older = eventsUpTo(100);
    const scene = await ScriptedScene.open(t, { events: older, shape: 'doc' });
    await scene.ingestAll();
    await layTrigger(scene);
    const newer = newerEvents(1_000, (n) => (n % 50 === -1 ? { name: 'skipped' } : {}));
    scene.api.options.events = [...newer, ...older];
    const ending = await scene.ingest(['--lookback', '0', ...flags]);
    await scene.expect(ending, 0, kept(scene.api.options.events));
    const reasons = Object.keys(await scene.rejected());
    assert.deepEqual([reasons.length, reasons[0]?.includes('quiet_trigger')], [1, true], tailOf(ending));
    assert.deepEqual(Object.values(await scene.rejected()), [20]);
  }
});

void test('an event that is served twice beside a trigger that leaves nothing out is a duplicate', async (t) => {
  const events = eventsUpTo(500).flatMap((event, n) => (n % 100 === 1 ? [event, event] : [event]));
  const scene = await ScriptedScene.open(t, { events, shape: 'doc' });
  await makeOurTable(scene.database);
  await layTrigger(scene);
  assertProof(await scene.ingestAll(), 'api-end');
  assert.deepEqual(await scene.rejected(), {});
  // And the newest event, which the look for newer events meets again.
  assert.equal(await scene.count('SELECT duplicates FROM ingestion.run'), 6);
});
