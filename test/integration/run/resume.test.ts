import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene, hasLog } from '../../crash/crash-scene.ts';
import { firstSeed } from '../../crash/draws.ts';
import { describeRound, drawRound, playRound } from '../../crash/ingester-kills.ts';
import { ranksServed, servedAgain } from '../../crash/resume-cost.ts';
import type { Program } from '../../support/processes.ts';

void test('an ingester killed at random moments goes on until the table is complete and exact', async (t) => {
  const round = drawRound(firstSeed(), 4_000);
  t.diagnostic(describeRound(round));
  const result = await playRound(t, round, { kills: 3 });
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.kills > 0);
});

const PAGE_SIZE = 100;
const CONNECTIONS = 2;

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
      flags: [
        ...['--page-size', String(PAGE_SIZE), '--concurrency', String(concurrency)],
        ...['--connections', String(CONNECTIONS), '--endpoint', endpoint],
      ],
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
    // A page is in flight until its COPY has committed.
    const inFlight = concurrency + CONNECTIONS;
    const { requests: inVain } = servedAgain(scene.simulator, killed.atMs, before);
    t.diagnostic(JSON.stringify({ ...killed, inVain, looks, staleCursors: scene.simulator.stats().staleCursors }));
    assert.ok(
      inVain <= inFlight + killed.windows + looks,
      `${inVain} requests were for what had been served; ${inFlight} pages in flight, ${killed.windows} windows, ${looks} looks`,
    );
  });
}
