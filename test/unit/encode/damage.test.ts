/** A few of the pages of `npm run test:damage`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { triedPage } from '../../damage/tried-page.ts';

const PAGES = 300;

void test(`what is damaged in one of ${PAGES} pages costs itself alone`, async () => {
  for (let seed = 1; seed <= PAGES; seed += 1) {
    const { breaches, shape } = await triedPage(seed);
    assert.deepEqual(breaches, [], `npm run test:damage -- --pages 1 --runs 0 --seed ${seed} (${shape})`);
  }
});
