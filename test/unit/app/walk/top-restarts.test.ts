import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopRestarts } from '../../../../src/app/walk/top-restarts.ts';

/** What a walk of so many pages came to, as the next one is told. */
function walk(restarts: TopRestarts, pages: number, topMs: number | null = null): ReturnType<TopRestarts['begin']> {
  for (let page = 0; page < pages; page += 1) restarts.note(500);
  return restarts.begin(topMs);
}

void test('walks from the top go on as long as each comes further than all before it', () => {
  const restarts = new TopRestarts();
  assert.equal(restarts.begin(null), 'nothing');
  for (let pages = 1; pages < 100; pages += 1) assert.equal(walk(restarts, pages), 'further');
});

void test('five walks that come no further are enough', () => {
  const restarts = new TopRestarts();
  restarts.begin(null);
  assert.deepEqual(
    [10, 9, 10, 3, 10, 8].map((pages) => walk(restarts, pages)),
    ['further', 'vain', 'vain', 'vain', 'vain', 'too-many-vain'],
  );
});

void test('one that comes further forgives those before it', () => {
  const restarts = new TopRestarts();
  restarts.begin(null);
  for (let turn = 0; turn < 5; turn += 1) walk(restarts, 10);
  assert.equal(walk(restarts, 11), 'further');
  assert.equal(walk(restarts, 11), 'vain');
});

void test('a walk from another time has nothing to be held against', () => {
  const restarts = new TopRestarts();
  restarts.begin(9_000);
  for (let turn = 0; turn < 5; turn += 1) walk(restarts, 10, 9_000);
  assert.equal(walk(restarts, 1, 8_000), 'moved-on');
  assert.equal(walk(restarts, 1, 8_000), 'further');
  assert.equal(walk(restarts, 1, 8_000), 'vain');
});

void test('a request that brought no page is no walk', () => {
  const restarts = new TopRestarts();
  restarts.begin(9_000);
  for (let turn = 0; turn < 50; turn += 1) assert.equal(walk(restarts, 0, 9_000), 'nothing');
});
