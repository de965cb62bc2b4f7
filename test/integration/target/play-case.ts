/** Plays the cases of {@link ./cases.ts} against a cluster: the test process's own, or that of another version. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { readTargetFacts } from '../../../src/load/schema/target-facts.ts';
import { planTarget } from '../../../src/load/schema/target-plan.ts';
import { openClient, type TestCluster } from '../../support/database.ts';
import { makeOurTable } from '../../support/our-table.ts';
import { newerEvents } from '../../support/scripted-events.ts';
import { ScriptedScene, tailOf, type Ending } from '../../support/scripted-scene.ts';
import { CASE_EVENTS, ODD_EVENT } from './cases.ts';
import type { LoadedCase, SetAsideCase, TargetCase } from './cases.ts';
import type { RefusedCase } from './refused-cases.ts';
import { DATASYNC } from '../../support/datasync.ts';

/** How many events change between the first load and the next. */
const CHANGED = 7;

/** Everything that people can see of a database's tables. */
const CATALOG_SQL = `
  SELECT n.nspname, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod) AS type, x.indisunique
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_index x ON x.indexrelid = c.oid
   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY 1, 2, 4`;

/** The table with what the case lays on it, and a scene whose jobs have its role. */
async function sceneOf(t: TestContext, targetCase: TargetCase, cluster?: TestCluster): Promise<ScriptedScene> {
  const { statements, partitions, grants } = targetCase;
  const scene = await ScriptedScene.open(t, { events: CASE_EVENTS, maxPage: 200 }, cluster);
  await makeOurTable(scene.database, partitions === undefined ? {} : { partitions });
  for (const statement of statements) await scene.database.query(statement);
  if (grants === undefined) return scene;
  return scene.asRole(...grants.map((grant) => grant.replaceAll('{database}', scene.database.name)));
}

export async function playLoaded(t: TestContext, loaded: LoadedCase, cluster?: TestCluster): Promise<void> {
  const scene = await sceneOf(t, loaded, cluster);
  const client = await openClient(t, scene.database.url);
  const facts = (await readTargetFacts(client, DATASYNC.target)) ?? assert.fail('no table');
  const planned = loaded.isFoundByTrying === true ? null : (loaded.keyStays ?? null);
  assert.equal(planTarget(facts, 'update').indexNeededBy, planned);
  const first = await scene.ingestAll();
  // Whether an id comes twice in the first merge is a matter of time.
  if (loaded.isFoundByTrying !== true) assert.equal(isQuick(first), loaded.keyStays === undefined);
  const changed = CASE_EVENTS.map((event, n) => (n < CHANGED ? { ...event, name: 'changed' } : event));
  scene.api.options.events = changed;
  if (loaded.addsOnly === true) {
    await scene.expect(await scene.ingest(['--full']), 0, CASE_EVENTS);
    return;
  }
  await scene.ingestAll(['--full', '--on-conflict', 'update']);
  assert.equal(await scene.count('SELECT updated FROM ingestion.run ORDER BY run_id DESC LIMIT 1'), CHANGED);
}

/** Its first merge took the key away and built it again. */
export function isQuick({ logs }: Ending): boolean {
  return logs.some(({ msg, isInitialMerge }) => msg === 'merged' && isInitialMerge === true);
}

export async function playSetAside(t: TestContext, setAside: SetAsideCase, cluster?: TestCluster): Promise<void> {
  const scene = await sceneOf(t, setAside, cluster);
  const others = CASE_EVENTS.filter(({ name }) => name !== ODD_EVENT);
  await scene.expect(await scene.ingest(), 0, others);
  await assertSetAside(scene, setAside, 1);
  // It is served again, and refused again; what is newer is loaded beside it.
  const newer = newerEvents(5);
  scene.api.options.events = [...newer, ...CASE_EVENTS];
  await scene.expect(await scene.ingest(['--full', '--on-conflict', 'update']), 0, [...newer, ...others]);
  await assertSetAside(scene, setAside, 2);
}

async function assertSetAside(scene: ScriptedScene, { reason }: SetAsideCase, times: number): Promise<void> {
  const [[found, events] = ['', 0], ...more] = Object.entries(await scene.rejected());
  assert.ok(found.includes(reason), found);
  assert.deepEqual([events, more], [times, []]);
}

export async function playRefused(t: TestContext, refused: RefusedCase, cluster?: TestCluster): Promise<void> {
  const scene = await sceneOf(t, refused, cluster);
  if (refused.textIds === true) {
    scene.api.options.events = CASE_EVENTS.map((event, n) => ({ ...event, id: `text ${n}` }));
  }
  const before = await catalogOf(scene, refused);
  const ending = await scene.ingest(refused.flags);
  assert.equal(ending.code, 2, tailOf(ending));
  assert.ok(ending.reason.includes(refused.says), ending.reason);
  assert.deepEqual(await catalogOf(scene, refused), before);
  if (refused.textIds !== true) assert.equal(scene.api.pageRequests, 0);
}

async function catalogOf({ database }: ScriptedScene, { textIds }: RefusedCase): Promise<readonly unknown[]> {
  const { rows } = await database.query<{ nspname: string }>(CATALOG_SQL);
  return textIds === true ? rows.filter(({ nspname }) => nspname !== 'ingestion') : rows;
}
