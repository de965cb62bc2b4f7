import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstSeed, suiteSeconds } from './draws.ts';
import { describeRound, drawRound, playRound } from './ingester-kills.ts';

/** Share of the whole suite's time; the other files have the rest. */
const SHARE = 0.35;
const KILLS_A_ROUND = 6;
/** For each minute of the whole suite. */
const LEAST_KILLS_A_MINUTE = 3;

void test('after an ingester is killed at any moment, the next starts make the table complete and exact', async (t) => {
  const seconds = suiteSeconds();
  const endMs = Date.now() + seconds * SHARE * 1000;
  const first = firstSeed();
  let kills = 0;
  for (let n = 0; Date.now() < endMs; n += 1) {
    const round = drawRound(first + n, 12_000);
    const result = await playRound(t, round, { kills: KILLS_A_ROUND });
    kills += result.kills;
    t.diagnostic(`${describeRound(round)} ${JSON.stringify({ ...result, killsSoFar: kills })}`);
  }
  assert.ok(
    kills >= (LEAST_KILLS_A_MINUTE * seconds) / 60,
    `only ${kills} kills: the runs are too short, or the machine too slow`,
  );
});
