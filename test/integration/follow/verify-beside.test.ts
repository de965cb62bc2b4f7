/** What `verify`, `status` and `export-ids` say beside a job that follows, between two of its proofs, and after it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '../../../src/commands/status.ts';
import { verify as verifyCommand } from '../../../src/commands/verify.ts';
import { runCommand, type CommandEnding } from '../../support/command-output.ts';
import { GrowingList, HOUR_MS } from '../../support/follow/growing-list.ts';
import { KEY } from '../../support/simulator-client.ts';

/** @param patienceMs how long it waits for the job */
function verify({ database, api }: GrowingList, patienceMs: number): Promise<CommandEnding> {
  const env = { DATABASE_URL: database.url, API_BASE_URL: api.baseUrl, TARGET_API_KEY: KEY, LOG_FORMAT: 'json' };
  return runCommand(() => verifyCommand([], env, patienceMs));
}

void test('between two proofs, what the rounds of --follow have taken counts: beside the job and after it', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const beside: CommandEnding[] = [];
  const end = await list.follow(async (wait) => {
    if (wait === 3) list.grow(7);
    if (wait === 5) list.grow(4);
    if (wait === 7) beside.push(await verify(list, 0));
    return wait < 7;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  for (const { code, stdout, stderr } of [...beside, await verify(list, 0)]) {
    assert.equal(code, 0, stdout + stderr);
    assert.match(
      stdout,
      /counts 311 events now, 11 more than at the last proof.*; 11 were taken since: nothing is missing/,
    );
  }
  const seen = await runCommand(() => status(['--json'], { DATABASE_URL: list.database.url }));
  assert.match(seen.stdout, /"finished": true[^]*"nextStart": "would take what is new since 2026-01-27T10:59/);
  // Nobody is there any more to take what comes.
  list.grow(2);
  const after = await verify(list, 60_000);
  assert.equal(after.code, 5);
  assert.match(
    after.stderr,
    /2 events came since the newest round of --follow, or are missing: npm start takes what is new/,
  );
});

void test('an event that the API counts and no round was served is missing, however many came since', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const end = await list.follow(
    (wait) => {
      if (wait === 3) list.grow(5);
      // Older than every lookback: the next proof finds it.
      if (wait === 5) list.add(list.clock.now() - 12 * HOUR_MS);
      if (wait === 7) list.grow(5);
      return wait < 9;
    },
    ['--lookback', '10m'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 1);
  const { code, stderr } = await verify(list, 0);
  assert.equal(code, 5);
  assert.match(stderr, /The API counted 11 more events since the proof, and 10 were served/);
});

void test('beside a job that follows, verify waits for the round that takes what came last', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const verified: Promise<CommandEnding>[] = [];
  const end = await list.follow(async (wait) => {
    if (wait === 3) {
      list.grow(3);
      const refused = await verify(list, 0);
      assert.equal(refused.code, 5);
      assert.match(
        refused.stderr,
        /3 events came since the proof, or are missing: process \d+ on .* has not taken them yet/,
      );
      const asked = new Promise<void>((resolve) => {
        list.hook = () => {
          resolve();
          return undefined;
        };
      });
      verified.push(verify(list, 60_000));
      await asked;
      list.grow(5);
    }
    if (wait === 4) await Promise.all(verified);
    return wait < 4;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  const [result] = await Promise.all(verified);
  assert.equal(result?.code, 0, result?.stderr);
  assert.match(result.stdout, /counts 308 events now, 8 more .*; 8 were taken since: nothing is missing/);
});

void test('where the count on a bounded answer is of what was asked for, what the rounds have taken counts all the same', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  list.countWhatIsAskedFor();
  const end = await list.follow(
    (wait) => {
      if (wait === 3) list.grow(7);
      return wait < 6;
    },
    ['--lookback', '10m'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  const taken = await verify(list, 0);
  assert.equal(taken.code, 0, taken.stderr);
  assert.match(taken.stdout, /counts 307 events now, 7 more .*; 7 were taken since: nothing is missing/);
  list.add(list.clock.now() - 12 * HOUR_MS);
  await list.follow((wait) => wait < 3, ['--lookback', '10m']);
  const late = await verify(list, 0);
  assert.equal(late.code, 5);
  assert.match(late.stderr, /1 events came since/);
});
