/** A small fixed part of `npm run test:histories`: histories that have broken the law once, and a random one. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { KEPT } from '../../histories/kept.ts';
import { Machine } from '../../histories/machine.ts';
import { tellHistory, tellPlayed } from '../../histories/story.ts';
import { sharedCluster } from '../../support/database.ts';

const RANDOM_SEED = 1;
/** The tests of test/complete tell these in the same way; `npm run test:histories -- --kept` plays them, too. */
const TOLD_ELSEWHERE = [
  'success: false is no end',
  'a 418 to a cursor is no end',
  'text ids of 16 characters behind an empty first page',
  'events that were refused once, and rows deleted later',
  'another source, then a range of it',
  'verify with another source',
  'ids twice inside the lookback, many starts, rows deleted',
  'refused events whose id has a row, rows deleted',
  'more rejected than allowed, stopped at the last page',
  'an empty table',
  'a table that is gone',
  'a key with another name',
  'a trigger that swallows rows',
  'long ids that begin alike',
];

let machine: Machine;
before(async () => {
  machine = new Machine(await sharedCluster());
});

for (const [name, history] of Object.entries(KEPT)) {
  if (TOLD_ELSEWHERE.includes(name)) continue;
  void test(name, async () => {
    const played = await machine.play(history, false);
    assert.equal(played.breach, null, `${tellHistory(history)}\n${tellPlayed(played, { log: false })}`);
  });
}

void test('a random history', async () => {
  const { finding } = await machine.search({ seed: RANDOM_SEED, asProcess: false, shrinkMs: 0 });
  assert.equal(finding, null, `seed ${RANDOM_SEED}: ${JSON.stringify(finding?.played.breach)}`);
});

void test('what is told elsewhere is kept', () => {
  const kept = Object.keys(KEPT);
  assert.deepEqual(
    TOLD_ELSEWHERE.filter((name) => !kept.includes(name)),
    [],
  );
});
