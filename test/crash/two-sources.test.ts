/** Two sources in one database: what kills or crashes one leaves the other alone, and a crash of the database stops neither. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { testCluster, type TestCluster } from '../support/database.ts';
import { startMain } from '../support/processes.ts';
import { eventsUpTo, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf, warnings, type Ending } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(4_000);
/** The same ids under other names. */
const OTHERS: readonly ScriptedEvent[] = EVENTS.map((event) => ({ ...event, name: `other ${event.name}` }));
const KILLS = 8;

async function twoSources(
  t: TestContext,
  latencyMs: number,
  cluster?: TestCluster,
): Promise<{ first: ScriptedScene; other: ScriptedScene }> {
  const options = { maxPage: 100, latencyMs };
  const first = await ScriptedScene.open(t, { events: EVENTS, ...options }, cluster);
  return { first, other: await first.beside(t, 'other', { events: OTHERS, ...options }) };
}

async function assertExact(scene: ScriptedScene, ending: Ending, events: readonly ScriptedEvent[]): Promise<void> {
  await scene.expect(ending, 0, events);
  assert.deepEqual(warnings(ending, /taken over|left behind/), [], tailOf(ending));
}

void test('PostgreSQL crashes while two sources are loaded: each goes on from its own state, and raises its own generation', async (t) => {
  const cluster = await testCluster(t);
  const { first, other } = await twoSources(t, 0, cluster);
  let waiting = 0;
  let crash: Promise<void> | null = null;
  const crashOnce = async (): Promise<void> => {
    const { rows } = await cluster.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'datasync-ingestion other %' LIMIT 1`,
    );
    cluster.killBackend(rows[0]?.pid ?? assert.fail('no backend'));
  };
  for (const { api } of [first, other]) {
    api.options.hook = async ({ usual }) => {
      if (usual.first !== 1_000 || crash !== null) return undefined;
      waiting += 1;
      while (waiting < 2) await new Promise((resolve) => setImmediate(resolve));
      await (crash ??= crashOnce());
      return undefined;
    };
  }
  const flags = ['--merge-interval', '60'];
  const [one, two] = await Promise.all([first.ingest(flags), other.ingest(flags)]);
  await assertExact(first, one, EVENTS);
  await assertExact(other, two, OTHERS);
  for (const ending of [one, two]) {
    assert.equal(warnings(ending, /emptied the staging tables/).length, 1, tailOf(ending));
  }
  const { rows } = await first.database.query('SELECT source_id, generation::int FROM ingestion.owner ORDER BY 1');
  assert.deepEqual(rows, [
    { source_id: 1, generation: 2 },
    { source_id: 2, generation: 2 },
  ]);
});

void test('one source is killed again and again while another one is loaded and merged: both are exact', async (t) => {
  const { first, other } = await twoSources(t, 100);
  first.api.options.latencyMs = 800;
  const killed = new AbortController();
  // Its last page waits for the kills, however long they take.
  first.api.options.hook = async ({ usual }) => {
    if (usual.isLast && !killed.signal.aborted) await once(killed.signal, 'abort');
    return undefined;
  };
  const flags = ['--merge-interval', '1', '--on-conflict', 'update', '--max-wait', '600', '--page-timeout', '600'];
  const loading = first.ingest(flags);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const before = other.api.pageRequests;
    const ingester = startMain(t, [...flags, '--page-size', '100', '--concurrency', '2'], {
      env: {
        SOURCE_NAME: 'other',
        API_BASE_URL: other.api.baseUrl,
        TARGET_API_KEY: 'key',
        DATABASE_URL: other.database.url,
        WORKER_THREADS: '1',
        LOG_FORMAT: 'json',
      },
    });
    while (other.api.pageRequests < before + 3 * kill && ingester.ended === null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    ingester.kill('SIGKILL');
    await ingester.waitForExit();
  }
  killed.abort();
  for (const { api } of [first, other]) api.options.latencyMs = 0;
  await assertExact(other, await other.ingest(flags), OTHERS);
  await assertExact(first, await loading, EVENTS);
});
