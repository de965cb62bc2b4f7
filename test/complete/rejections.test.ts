/** Balanced counts are no success: what has no row is rejected with its reason, and where that is much, the end says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOurTable } from '../support/our-table.ts';
import { eventsUpTo, newerEvents, uuidFrom, type ScriptedEvent } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf, type Ending } from '../support/scripted-scene.ts';

/** The id stands under a name that the job does not know. */
const underscored = (n: number): Readonly<Record<string, unknown>> => ({ id: undefined, _id: uuidFrom(`event ${n}`) });

/** Events of which the last `rejected` have no id. */
function partlyWithoutId(count: number, rejected: number): ScriptedEvent[] {
  return eventsUpTo(count, (n) => (n >= count - rejected ? underscored(n) : {}));
}

function usable(events: readonly ScriptedEvent[]): ScriptedEvent[] {
  return events.filter(({ id }) => typeof id === 'string');
}

function assertReason(ending: Ending, parts: readonly (string | RegExp)[]): void {
  const { reason } = ending;
  for (const part of parts) {
    const isThere = typeof part === 'string' ? reason.includes(part) : part.test(reason);
    assert.ok(isThere, `${String(part)} is not in: ${reason}\n${tailOf(ending)}`);
  }
}

for (const shape of ['live', 'doc'] as const) {
  void test(`events that all have _id in place of id end the run early with 2 and the name of that key (${shape} shape)`, async (t) => {
    const events = eventsUpTo(3_000, underscored);
    const scene = await ScriptedScene.open(t, { events, shape, maxPage: 200 });
    const ending = await scene.ingest();
    await scene.expect(ending, 2, []);
    assertReason(ending, ['_id', 'id-missing']);
    assert.ok(scene.api.pageRequests < 10, `${scene.api.pageRequests} pages were asked for`);
  });
}

void test('events that all lack an id end the run early with several windows, too', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(20_000, underscored), maxPage: 100 });
  const ending = await scene.ingest(['--concurrency', '4']);
  await scene.expect(ending, 2, []);
  assert.ok(scene.api.pageRequests < 60, `${scene.api.pageRequests} pages were asked for`);
});

void test('with --max-rejected 100% a run of rejected events ends with 0', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_001, underscored), maxPage: 200 });
  const ending = await scene.ingest(['--max-rejected', '100%']);
  await scene.expect(ending, 0, []);
  assertProof(ending, 'count');
  assert.deepEqual(await scene.rejected(), { 'id-missing': 1_001 });
});

void test('too few events to be sure of a wrong setting, all rejected, end the run with 5', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(10, underscored) });
  const ending = await scene.ingest();
  await scene.expect(ending, 5, []);
  assertReason(ending, ['_id', 'id-missing', /\b10\b/, '--max-rejected']);
});

void test('events that are all rejected, for several reasons, end the run with 5', async (t) => {
  const events = eventsUpTo(1_000, (n) => ({ id: n % 2 === 0 ? undefined : [n] }));
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  const ending = await scene.ingest();
  await scene.expect(ending, 5, []);
  assertReason(ending, ['id-missing', 'id-wrong-type', /\b500\b/, '--max-rejected']);
});

void test('90 % without an id end the run with 5, the reason, its count and the keys that the events have', async (t) => {
  const events = partlyWithoutId(1_000, 900);
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  const ending = await scene.ingest();
  await scene.expect(ending, 5, usable(events));
  assertReason(ending, ['_id', 'id-missing', /\b900\b/, '--max-rejected']);
});

void test('where only the newest ids are UUIDs, the others are rejected, and the run ends with 5', async (t) => {
  const events = eventsUpTo(1_000, (n) => (n < 100 ? {} : { id: `evt-${n}` }));
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  const ending = await scene.ingest();
  await scene.expect(ending, 5, events.slice(0, 100));
  assertReason(ending, ['id-not-a-uuid', /\b900\b/, '--max-rejected']);
});

// All bounds: test/unit/app/run/rejection-limit.test.ts.
for (const [rejected, flags, code] of [
  [40, [], 0],
  [60, ['--max-rejected', '10%'], 0],
  [40, ['--max-rejected', '3%'], 5],
  [40, ['--max-rejected', '39'], 4],
] as const) {
  void test(`${rejected} of 1,000 rejected with ${flags.join(' ') || 'no flag'} end with ${code}`, async (t) => {
    const events = partlyWithoutId(1_000, rejected);
    const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
    const ending = await scene.ingest(flags);
    await scene.expect(ending, code, usable(events));
    if (code === 0) assertProof(ending, 'count');
  });
}

void test('20 of 100 rejected are few enough for 0', async (t) => {
  const events = partlyWithoutId(100, 20);
  const scene = await ScriptedScene.open(t, { events });
  const ending = await scene.ingest();
  await scene.expect(ending, 0, usable(events));
  assertProof(ending, 'count');
});

void test('too many rejected events end with 5 again when the run is started again, until the flag accepts them', async (t) => {
  const events = partlyWithoutId(1_000, 100);
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  for (let start = 1; start <= 2; start += 1) await scene.expect(await scene.ingest(), 5, usable(events));
  const accepted = await scene.ingest(['--max-rejected', '10%']);
  await scene.expect(accepted, 0, usable(events));
  assertProof(accepted, 'count');
});

// The rejected events are on the last page: nothing ends the run before it.
for (const [flags, code] of [
  [['--max-rejected', '5'], 4],
  [[], 5],
] as const) {
  void test(`a stop while the last page is on its way does not spare a run with ${flags.join(' ') || 'no flag'} its limit: ${code}`, async (t) => {
    const events = partlyWithoutId(1_000, 99);
    const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
    const ending = await scene.stopAt(({ usual }) => usual.isLast && usual.end === 1_000, flags);
    await scene.expect(ending, code, usable(events));
  });
}

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

void test('rejected events whose anomalies are gone are missed by verify, and by a merge where a trigger leaves some out', async (t) => {
  const events = eventsUpTo(500, (n) => (n % 50 === 0 ? { id: null } : {}));
  const scene = await ScriptedScene.open(t, { events });
  assertProof(await scene.ingest(), 'count');
  await scene.database.query('TRUNCATE ingestion.anomaly');
  const verified = await scene.command('verify');
  assert.equal(verified.code, 5, verified.stdout);
  assert.match(verified.stderr, /ingestion.anomaly has none/);
  assert.doesNotMatch(verified.stdout, /nothing is missing/);
  await scene.database.query(`
    CREATE FUNCTION leave_some() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN IF NEW.position % 100 = 0 THEN RETURN NULL; END IF; RETURN NEW; END';
    CREATE TRIGGER leave_some BEFORE INSERT ON ingestion.anomaly FOR EACH ROW EXECUTE FUNCTION leave_some()`);
  const ending = await scene.ingest(['--full']);
  assert.equal(ending.code, 5, tailOf(ending));
  assert.match(ending.reason, /ingestion.anomaly did not take/);
  await scene.database.query('DROP TRIGGER leave_some ON ingestion.anomaly');
  assertProof(await scene.ingest(), 'count');
  assert.equal(await scene.count("SELECT count(*) FROM ingestion.anomaly WHERE kind = 'rejected'"), 10);
});
