import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene } from '../../crash/crash-scene.ts';
import { firstSeed } from '../../crash/draws.ts';
import { describeRound, drawRound, playRound } from '../../crash/ingester-kills.ts';
import { ranksServed, servedAgain } from '../../crash/resume-cost.ts';

void test('an ingester killed at random moments goes on until the table is complete and exact', async (t) => {
  const round = drawRound(firstSeed(), 4_000);
  t.diagnostic(describeRound(round));
  const result = await playRound(t, round, { kills: 3 });
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.kills > 0);
});

const PAGE_SIZE = 100;
const CONNECTIONS = 2;

for (const { name, concurrency, cursorTtl, endpoint } of [
  { name: 'on the stream endpoint, its cursors alive', concurrency: 4, cursorTtl: 116, endpoint: 'stream' },
  { name: 'on the stream endpoint, its cursors dead', concurrency: 4, cursorTtl: 0.5, endpoint: 'stream' },
  { name: 'on /events, its cursor alive', concurrency: 4, cursorTtl: 116, endpoint: 'events' },
]) {
  void test(`a start after a kill asks again only for the pages that were in flight: ${name}`, async (t) => {
    const scene = await CrashScene.open(t, {
      events: 4_000,
      cursorTtl,
      latency: 80,
      flags: [
        ...['--page-size', String(PAGE_SIZE), '--concurrency', String(concurrency)],
        ...['--connections', String(CONNECTIONS), '--endpoint', endpoint],
      ],
    });
    const first = await scene.startAtWork(16);
    first.kill('SIGKILL');
    await first.waitForExit();
    const killedAtMs = Date.now();
    const before = ranksServed(scene.simulator, killedAtMs);
    assert.ok(before.size < 4_000, 'the kill came too late');
    await scene.finish();
    // Every run ends with a look for newer events, which serves the newest one again.
    const looks = 1;
    // A window has two pages on their way, one of them asked ahead; a page is in flight until its COPY has committed.
    const inFlight = 2 * concurrency + CONNECTIONS;
    // A window whose bound rises under a page on its way is asked by time where it ends, and serves that place again.
    const asks = concurrency;
    const { pages } = servedAgain(scene.simulator, killedAtMs, before);
    t.diagnostic(JSON.stringify({ pages, staleCursors: scene.simulator.stats().staleCursors }));
    assert.ok(pages <= inFlight + looks + asks, `${pages} pages were served again; ${inFlight} were in flight`);
  });
}
