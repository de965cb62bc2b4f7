import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopRestarts } from '../../../src/app/top-restarts.ts';

function walk(restarts: TopRestarts, pages: number): boolean {
  restarts.begin();
  for (let page = 0; page < pages; page += 1) restarts.note(500);
  return restarts.isVain();
}

void test('walks from the top go on as long as each comes further than all before it', () => {
  const restarts = new TopRestarts();
  for (let pages = 1; pages < 100; pages += 1) assert.equal(walk(restarts, pages), false);
});

void test('five walks that come no further are enough', () => {
  const restarts = new TopRestarts();
  walk(restarts, 10);
  assert.deepEqual(
    [9, 10, 3, 10, 8].map((pages) => walk(restarts, pages)),
    [false, false, false, false, true],
  );
});

void test('one that comes further forgives those before it', () => {
  const restarts = new TopRestarts();
  walk(restarts, 10);
  for (let turn = 0; turn < 4; turn += 1) walk(restarts, 10);
  assert.equal(walk(restarts, 11), false);
  assert.equal(walk(restarts, 11), false);
});
