/** A small fixed part of `npm run test:histories`: histories that have broken the law once, and a few random ones. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEPT } from '../../histories/kept.ts';
import { Machine } from '../../histories/machine.ts';
import { tellHistory, tellPlayed } from '../../histories/story.ts';

const RANDOM_SEEDS = [1, 2, 3];

let machine: Machine;
before(async () => {
  machine = await Machine.open();
});
after(() => machine.close());

for (const [name, history] of Object.entries(KEPT)) {
  void test(name, async () => {
    const played = await machine.play(history, false);
    assert.equal(played.breach, null, `${tellHistory(history)}\n${tellPlayed(played, { log: false })}`);
  });
}

void test('a few random histories', async () => {
  for (const seed of RANDOM_SEEDS) {
    const { finding } = await machine.search({ seed, asProcess: false, shrinkMs: 0 });
    assert.equal(finding, null, `seed ${seed}: ${JSON.stringify(finding?.played.breach)}`);
  }
});
