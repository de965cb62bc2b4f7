import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeContradiction, ignoresSinceWithCursor, ignoresWindows } from '../../../../src/app/walk/page-checks.ts';

const asked = { cursor: null, sinceMs: null, untilMs: null };

function page(newestMs: number, lastMs: number, servedCount = 100, descending = true) {
  return { servedCount, times: { newestMs, oldestMs: lastMs, lastMs, tailNewestMs: lastMs, descending } };
}

void test('more to come without a cursor to come by, and the cursor that was asked with, are contradictions', () => {
  assert.match(describeContradiction(asked, { hasMore: true, nextCursor: null, total: null }) ?? '', /no next cursor/);
  const again = describeContradiction({ cursor: 'c' }, { hasMore: true, nextCursor: 'c', total: null });
  assert.match(again ?? '', /the one that was asked for/);
  assert.match(
    describeContradiction({ cursor: 'c' }, { hasMore: null, nextCursor: 'c', total: null }) ?? '',
    /asked for/,
  );
});

void test('a last page may say what it likes about cursors', () => {
  assert.equal(describeContradiction({ cursor: 'c' }, { hasMore: false, nextCursor: 'c', total: null }), null);
  assert.equal(describeContradiction({ cursor: 'c' }, { hasMore: null, nextCursor: null, total: null }), null);
  assert.equal(describeContradiction({ cursor: 'c' }, { hasMore: true, nextCursor: 'd', total: null }), null);
});

void test('a page above the time that was asked for gives an endpoint without windows away', () => {
  assert.equal(ignoresWindows({ ...asked, untilMs: 1_000 }, page(9_000, 5_000)), true);
  assert.equal(ignoresWindows({ ...asked, untilMs: 1_000 }, page(1_001.5, 500)), false);
  assert.equal(ignoresWindows({ ...asked, untilMs: 1_000 }, page(9_000, 5_000, 1)), false, 'one wrong clock');
  assert.equal(ignoresWindows({ ...asked, untilMs: 1_000, cursor: 'c' }, page(9_000, 5_000)), false, 'by cursor');
  assert.equal(ignoresWindows(asked, page(9_000, 5_000)), false);
  assert.equal(ignoresWindows({ ...asked, untilMs: 1_000 }, { servedCount: 0, times: null }), false);
});

void test('a page below the since that was sent beside a cursor says that it does not count there', () => {
  const beside = { cursor: 'c', sinceMs: 5_000, untilMs: null };
  assert.equal(ignoresSinceWithCursor(beside, page(4_000, 3_000)), true);
  assert.equal(ignoresSinceWithCursor(beside, page(4_999, 3_000)), false, 'the bound is sent widened');
  assert.equal(ignoresSinceWithCursor(beside, page(4_000, 3_000, 100, false)), false);
  assert.equal(ignoresSinceWithCursor({ ...beside, cursor: null }, page(4_000, 3_000)), false);
});
