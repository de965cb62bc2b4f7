import { test } from 'node:test';
import { firstSeed, suiteSeconds } from './draws.ts';
import { describeRound, drawRound, playRound } from './ingester-kills.ts';

/** Of the whole suite's time; the rest is for the other files. */
const SHARE = 0.5;
const KILLS_A_ROUND = 6;

void test('whatever moment an ingester is killed at, the next starts make the table complete and exact', async (t) => {
  const endMs = Date.now() + suiteSeconds() * SHARE * 1000;
  const first = firstSeed();
  let kills = 0;
  for (let n = 0; Date.now() < endMs; n += 1) {
    const round = drawRound(first + n, 12_000);
    t.diagnostic(describeRound(round));
    const result = await playRound(t, round, { kills: KILLS_A_ROUND });
    kills += result.kills;
    t.diagnostic(JSON.stringify({ ...result, killsSoFar: kills }));
  }
});
