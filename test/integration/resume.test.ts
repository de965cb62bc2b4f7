import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene, hasLog } from '../crash/crash-scene.ts';
import { firstSeed } from '../crash/draws.ts';
import { describeRound, drawRound, playRound } from '../crash/ingester-kills.ts';
import type { Program } from '../support/processes.ts';
import type { Simulator } from '../../src/simulator/simulator.ts';

void test('an ingester killed at random moments goes on until the table is complete and exact', async (t) => {
  const round = drawRound(firstSeed(), 4_000);
  t.diagnostic(describeRound(round));
  const result = await playRound(t, round, { kills: 3 });
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.kills > 0);
});

const PAGE_SIZE = 100;

/** Ranks of events that were answered in full before `untilMs`, by the simulator's own books. */
function ranksServed(simulator: Simulator, untilMs: number): Set<number> {
  const ranks = new Set<number>();
  for (const { kind, doneMs, status, firstRank, events } of simulator.log()) {
    if (kind !== 'stream' && kind !== 'events') continue;
    if (status !== 200 || doneMs === null || doneMs > untilMs || firstRank === null) continue;
    for (let rank = firstRank; rank < firstRank + events; rank += 1) ranks.add(rank);
  }
  return ranks;
}

/** Requests since `sinceMs` whose page was mostly served before already, or had nothing in it. */
function requestsInVain(simulator: Simulator, sinceMs: number, before: ReadonlySet<number>): number {
  const served = new Set(before);
  let inVain = 0;
  for (const { kind, atMs, firstRank, events } of simulator.log()) {
    if ((kind !== 'stream' && kind !== 'events') || atMs < sinceMs) continue;
    let known = 0;
    for (let rank = firstRank ?? 0; rank < (firstRank ?? 0) + events; rank += 1) {
      if (served.has(rank)) known += 1;
      served.add(rank);
    }
    if (known * 2 >= events) inVain += 1;
  }
  return inVain;
}

/** Kills it while pages are under way, and says what a start after it may cost. */
async function killAtWork(scene: CrashScene, ingester: Program): Promise<{ atMs: number; windows: number }> {
  ingester.kill('SIGKILL');
  await ingester.waitForExit();
  return { atMs: Date.now(), windows: await scene.number('SELECT count(*) FROM ingestion.state WHERE NOT complete') };
}

for (const { name, concurrency, cursorTtl, endpoint } of [
  { name: 'on the stream endpoint, its cursors alive', concurrency: 4, cursorTtl: 116, endpoint: 'stream' },
  { name: 'on the stream endpoint, its cursors dead', concurrency: 4, cursorTtl: 0.5, endpoint: 'stream' },
  { name: 'on /events, its cursor alive', concurrency: 4, cursorTtl: 116, endpoint: 'events' },
]) {
  void test(`a resume asks again for no more than what was in flight, and one page a window: ${name}`, async (t) => {
    const scene = await CrashScene.open(t, {
      events: 4_000,
      cursorTtl,
      latency: 80,
      flags: ['--page-size', String(PAGE_SIZE), '--concurrency', String(concurrency), '--endpoint', endpoint],
    });
    const first = scene.start();
    await first.waitForLog(hasLog(/^run started/));
    await scene.pagesMore(16, first);
    const killed = await killAtWork(scene, first);
    const before = ranksServed(scene.simulator, killed.atMs);
    assert.ok(before.size < 4_000, 'the kill came too late');
    await scene.finish();
    await scene.assertExact();
    // Beside those, as in any run: the look for what is new since it began.
    const looks = 1;
    const inVain = requestsInVain(scene.simulator, killed.atMs, before);
    t.diagnostic(JSON.stringify({ ...killed, inVain, looks, staleCursors: scene.simulator.stats().staleCursors }));
    assert.ok(
      inVain <= concurrency + killed.windows + looks,
      `${inVain} requests were for what had been served; ${concurrency} pages in flight, ${killed.windows} windows, ${looks} looks`,
    );
  });
}
