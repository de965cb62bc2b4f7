import { test } from 'node:test';
import { playCrashRound } from './database-crash.ts';
import { Draws, firstSeed, suiteSeconds } from './draws.ts';

/** Share of the whole suite's time; the other files have the rest. */
const SHARE = 0.1;
const CRASHES_A_ROUND = 4;

void test('an ingester that lives through any crash of PostgreSQL makes the table complete and exact', async (t) => {
  const endMs = Date.now() + suiteSeconds() * SHARE * 1000;
  const first = firstSeed();
  let crashes = 0;
  for (let n = 0; Date.now() < endMs; n += 1) {
    const seed = first + n;
    try {
      const result = await playCrashRound(t, new Draws(seed), CRASHES_A_ROUND);
      crashes += result.crashes.length;
      t.diagnostic(JSON.stringify({ CRASH_SEED: seed, ...result, crashesSoFar: crashes }));
    } catch (error) {
      throw new Error(`CRASH_SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
});
