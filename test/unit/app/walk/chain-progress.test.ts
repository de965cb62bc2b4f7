import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChainProgress } from '../../../../src/app/walk/chain-progress.ts';

function page(number: number): { servedCount: number; firstEventId: string; lastEventId: string } {
  return { servedCount: 2, firstEventId: `first-${number}`, lastEventId: `last-${number}` };
}

void test('pages that differ are progress, however many there are', () => {
  const progress = new ChainProgress();
  for (let number = 0; number < 5_000; number += 1) assert.equal(progress.note(page(number)), false);
});

void test('the same page over and over ends the walk', () => {
  const progress = new ChainProgress();
  progress.note(page(1));
  for (let turn = 1; turn < ChainProgress.MAX_VAIN_PAGES; turn += 1) assert.equal(progress.note(page(1)), false);
  assert.equal(progress.note(page(1)), true);
});

void test('a circle of a few pages ends the walk', () => {
  const progress = new ChainProgress();
  const verdicts = Array.from({ length: 12 }, (_, index) => progress.note(page(index % 3)));
  assert.equal(verdicts.indexOf(true), 3 + ChainProgress.MAX_VAIN_PAGES - 1);
});

void test('empty pages are no progress, and one page with news forgives those before it', () => {
  const progress = new ChainProgress();
  const empty = { servedCount: 0, firstEventId: null, lastEventId: null };
  for (let turn = 1; turn < ChainProgress.MAX_VAIN_PAGES; turn += 1) assert.equal(progress.note(empty), false);
  assert.equal(progress.note(page(7)), false);
  assert.equal(progress.note(empty), false);
});

void test('a smaller page from the same place brings nothing, a larger one does', () => {
  const progress = new ChainProgress();
  const from = (servedCount: number): boolean =>
    progress.note({ servedCount, firstEventId: 'a', lastEventId: `b-${servedCount}` });
  assert.deepEqual([500, 499, 250, 400, 300].map(from), [false, false, false, false, false]);
  assert.equal(from(501), false, 'news: those before it are forgiven');
  assert.deepEqual([500, 499, 250, 400, 300].map(from), [false, false, false, false, true]);
});

void test('pages of events without any id are not taken for each other', () => {
  const progress = new ChainProgress();
  const nameless = { servedCount: 500, firstEventId: null, lastEventId: null };
  for (let number = 0; number < 900; number += 1) assert.equal(progress.note(nameless), false);
});
