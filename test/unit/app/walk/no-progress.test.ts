import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChainProgress, MAX_STALE_PAGES, TopRestarts } from '../../../../src/app/walk/no-progress.ts';

type Digests = Parameters<ChainProgress['note']>[0]['places'];

function digests(firstDigest: string | null, firstTwo: string | null, lastDigest: string | null): Digests {
  return { beginnings: firstTwo === null ? [] : [{ events: 2, digest: firstTwo }], firstDigest, lastDigest };
}

function page(number: number): Parameters<ChainProgress['note']>[0] {
  return { servedCount: 2, places: digests(`first-${number}`, `two-${number}`, `last-${number}`) };
}

void test('pages that differ are progress, however many there are', () => {
  const progress = new ChainProgress();
  for (let number = 0; number < 5_000; number += 1) assert.equal(progress.note(page(number)), false);
});

void test('the same page over and over ends the walk', () => {
  const progress = new ChainProgress();
  progress.note(page(1));
  for (let turn = 1; turn < MAX_STALE_PAGES; turn += 1) assert.equal(progress.note(page(1)), false);
  assert.equal(progress.note(page(1)), true);
});

void test('a circle of a few pages ends the walk', () => {
  const progress = new ChainProgress();
  const verdicts = Array.from({ length: 12 }, (_, index) => progress.note(page(index % 3)));
  assert.equal(verdicts.indexOf(true), 3 + MAX_STALE_PAGES - 1);
});

void test('a circle of any length ends the walk before it was gone round many times', () => {
  const progress = new ChainProgress();
  let turns = 0;
  while (!progress.note(page(turns % 3_000))) turns += 1;
  assert.ok(turns < 9_000, `after ${turns} pages`);
});

void test('an API that filters may serve empty pages for long, but not for ever', () => {
  const progress = new ChainProgress();
  const empty = { servedCount: 0, places: digests(null, null, null) };
  for (let turn = 1; turn < 1_000; turn += 1) assert.equal(progress.note(empty), false);
  assert.equal(progress.note(page(7)), false, 'a page with a new event forgives those before it');
  for (let turn = 1; turn < 1_000; turn += 1) assert.equal(progress.note(empty), false);
  assert.equal(progress.note(empty), true);
});

void test('a smaller page from the same place brings nothing, a larger one does', () => {
  const progress = new ChainProgress();
  const from = (servedCount: number): boolean =>
    progress.note({ servedCount, places: digests('a', 'ab', `c-${servedCount}`) });
  assert.deepEqual([500, 499, 250, 400, 300].map(from), [false, false, false, false, false]);
  assert.equal(from(501), false, 'news: those before it are forgiven');
  assert.deepEqual([500, 499, 250, 400, 300].map(from), [false, false, false, false, true]);
});

void test('a page may begin as the one before it where its cursor says so, and as no other', () => {
  const progress = new ChainProgress();
  const envelope = { mayBeginAgain: true };
  for (const number of [1, 2]) progress.note(page(number));
  assert.deepEqual(
    [1, 2].map((number) => progress.knows({ ...page(number), envelope })),
    [true, false],
  );
  assert.equal(progress.knows(page(2)), true);
});

void test('an event that the API has twice makes no page one that was served before', () => {
  const progress = new ChainProgress();
  progress.note({ servedCount: 3, places: digests('a', 'ab', 'c') });
  assert.equal(progress.knows({ servedCount: 3, places: digests('a', 'ad', 'e') }), false);
  assert.equal(progress.knows({ servedCount: 2, places: digests('a', 'ab', 'f') }), true);
});

void test('an event that comes many times in a row makes no page one that was served before, one that begins alike does', () => {
  const progress = new ChainProgress();
  const of = (...beginnings: string[]): Parameters<ChainProgress['note']>[0] => ({
    servedCount: 5,
    places: {
      beginnings: beginnings.map((digest) => ({ events: digest.length, digest })),
      firstDigest: 'a',
      lastDigest: 'z',
    },
  });
  progress.note(of('aa', 'aaaa'));
  assert.equal(progress.knows(of('aa', 'aaab')), false);
  assert.equal(progress.knows(of('aa', 'aaaa')), true);
  assert.equal(progress.knows(of('aa')), true, 'a shorter page from the same place');
  assert.equal(progress.knows(of('aa', 'aaa')), true, 'a page of three');
  progress.note(of('bb', 'bbbb', 'bbbbc'));
  assert.equal(progress.knows(of('bb', 'bbbb', 'bbbbd')), false, 'all of it is compared where it is small');
});

void test('one event may come very often, but not for ever', () => {
  const progress = new ChainProgress();
  const again = { servedCount: 1, places: digests('a', null, 'a') };
  const verdicts = Array.from({ length: 1_100 }, () => progress.note(again));
  assert.equal(verdicts.indexOf(true), 1_000);
});

/** What a walk of so many pages came to, as the next one hears it. */
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
    ['further', 'no-further', 'no-further', 'no-further', 'no-further', 'too-often'],
  );
});

void test('one that comes further forgives those before it', () => {
  const restarts = new TopRestarts();
  restarts.begin(null);
  for (let turn = 0; turn < 5; turn += 1) walk(restarts, 10);
  assert.equal(walk(restarts, 11), 'further');
  assert.equal(walk(restarts, 11), 'no-further');
});

void test('a walk from another time has nothing to be held against', () => {
  const restarts = new TopRestarts();
  restarts.begin(9_000);
  for (let turn = 0; turn < 5; turn += 1) walk(restarts, 10, 9_000);
  assert.equal(walk(restarts, 1, 8_000), 'moved-on');
  assert.equal(walk(restarts, 1, 8_000), 'further');
  assert.equal(walk(restarts, 1, 8_000), 'no-further');
});

void test('a request that brought no page is no walk', () => {
  const restarts = new TopRestarts();
  restarts.begin(9_000);
  for (let turn = 0; turn < 50; turn += 1) assert.equal(walk(restarts, 0, 9_000), 'nothing');
});

void test('walks that meet only empty pages are walks that come no further', () => {
  const restarts = new TopRestarts();
  restarts.begin(9_000);
  const verdicts = [1, 2, 2, 1, 1, 1, 1].map((pages) => {
    for (let page = 0; page < pages; page += 1) restarts.note(0);
    return restarts.begin(9_000);
  });
  assert.deepEqual(verdicts.slice(0, 3), ['further', 'further', 'no-further']);
  assert.equal(verdicts.at(-1), 'too-often');
});
