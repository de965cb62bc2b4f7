import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageLimit } from '../../../../src/app/walk/page-limit.ts';

const uncapped = { maxPage: Infinity, doubtedMaxPage: null };

void test('a limit that was too large is halved, and tried again only after many pages that went well', () => {
  const limit = new PageLimit(5_000, 0, uncapped);
  limit.shrink(2);
  assert.equal(limit.value, 2_500);
  for (let page = 0; page < 15; page += 1) limit.grow();
  assert.equal(limit.value, 2_500);
  limit.grow();
  assert.equal(limit.value, 5_000);
});

void test('a reduction differs from the one before it, and never costs more than ten events', () => {
  const limit = new PageLimit(500, 0, uncapped);
  const seen = new Set<number>();
  for (let turn = 0; turn < 30; turn += 1) {
    const before = limit.value;
    limit.reduce();
    assert.notEqual(limit.value, before);
    seen.add(limit.value);
  }
  assert.equal(Math.min(...seen), 490);
});

void test('no more is asked for than the API allows, and reductions still differ', () => {
  const limit = new PageLimit(5_000, 0, { ...uncapped });
  limit.noteTooLarge(1_000);
  assert.equal(limit.value, 1_000);
  limit.reduce();
  assert.equal(limit.value, 999);
  limit.noteTooLarge(null);
  assert.equal(limit.value, 499);
});

void test('what the API says once of its largest page is doubted once, after many pages, and believed when it is said again', () => {
  const limit = new PageLimit(5_000, 0, { ...uncapped });
  const growTimes = (pages: number): void => {
    for (let page = 0; page < pages; page += 1) limit.grow();
  };
  limit.noteTooLarge(2);
  growTimes(15);
  assert.equal(limit.value, 2);
  growTimes(1);
  assert.equal(limit.value, 5_000);
  limit.noteTooLarge(2);
  growTimes(100);
  assert.equal(limit.value, 2);
});

void test('reductions of a small page ask for two events at least: an inclusive cursor serves one again', () => {
  const limit = new PageLimit(4, 0, uncapped);
  const seen = new Set<number>();
  for (let turn = 0; turn < 30; turn += 1) {
    limit.reduce();
    seen.add(limit.value);
  }
  assert.deepEqual(seen, new Set([3, 2, 4]));
});

void test('one event is always asked for', () => {
  const limit = new PageLimit(3, 2, uncapped);
  limit.shrink(4);
  limit.reduce();
  assert.equal(limit.value, 1);
});
