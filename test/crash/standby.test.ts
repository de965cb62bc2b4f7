/** Two processes follow one source, one of them stands by: however often the leader is killed, the other takes over, exactly. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startMain, type Program } from '../support/processes.ts';
import { eventNumber, eventsUpTo, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene } from '../support/scripted-scene.ts';

const KILLS = 25;
/** From the kill to the first new event in the table, with the look's interval of 5 s. */
const TAKEN_OVER_MS = 10_000;

function follow(t: TestContext, { api, database }: ScriptedScene): Program {
  return startMain(t, ['--follow', '5s', '--wait', '--page-size', '200'], {
    env: {
      API_BASE_URL: api.baseUrl,
      TARGET_API_KEY: 'key',
      DATABASE_URL: database.url,
      WORKER_THREADS: '1',
      DB_CONNECTIONS: '2',
      LOG_FORMAT: 'json',
    },
  });
}

void test(`the leader is killed ${KILLS} times: the standby takes over within ten seconds, and every event is there once`, async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000) });
  let newest = 0;
  const grow = (): ScriptedEvent => {
    const event = eventNumber((newest -= 1));
    scene.api.options.events = [event, ...scene.api.options.events];
    return event;
  };
  let leader = follow(t, scene);
  await leader.waitForLog(({ msg }) => msg === 'complete; following what is new');
  let longestMs = 0;
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const standby = follow(t, scene);
    await standby.waitForLog(({ msg }) => msg === 'standing by until the other process ends');
    // Sometimes in the middle of a round, sometimes while it waits.
    for (let events = 0; events < kill; events += 1) grow();
    await new Promise((resolve) => setTimeout(resolve, (kill * 373) % 5_000));
    leader.kill('SIGKILL');
    const killedMs = performance.now();
    const { id } = grow();
    const isThere = `EXISTS (SELECT FROM ingested_events WHERE id = '${String(id)}')`;
    while ((await scene.count(`SELECT (${isThere})::int`)) === 0) {
      assert.ok(performance.now() - killedMs < 2 * TAKEN_OVER_MS, standby.stdout.slice(-2_000));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    longestMs = Math.max(longestMs, performance.now() - killedMs);
    await leader.waitForExit();
    leader = standby;
  }
  assert.ok(longestMs < TAKEN_OVER_MS, `${longestMs} ms`);
  t.diagnostic(`taken over within ${Math.round(longestMs)} ms`);
  leader.kill('SIGTERM');
  assert.equal((await leader.waitForExit()).code, 143);
  assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), scene.api.options.events.length);
});
