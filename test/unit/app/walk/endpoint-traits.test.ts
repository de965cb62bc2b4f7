import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeContradiction, ignoresTimeBounds } from '../../../../src/app/walk/endpoint-traits.ts';
import type { PageEnvelope } from '../../../../src/core/encoded-page.ts';

const asked = { cursor: null, sinceMs: null, untilMs: null };

function page(newestMs: number, lastMs: number, servedCount = 100, descending = true) {
  return { servedCount, times: { newestMs, oldestMs: lastMs, lastMs, tailNewestMs: lastMs, descending } };
}

const envelope = (of: Pick<PageEnvelope, 'hasMore' | 'nextCursor'>, servedCount = 100) => ({
  envelope: of,
  servedCount,
});

void test('more to come without a cursor to come by, and the cursor that was asked with, are contradictions', () => {
  assert.match(describeContradiction(asked, envelope({ hasMore: true, nextCursor: null })) ?? '', /no next cursor/);
  const again = describeContradiction({ cursor: 'c' }, envelope({ hasMore: true, nextCursor: 'c' }));
  assert.match(again ?? '', /the one that was asked for/);
  assert.match(describeContradiction({ cursor: 'c' }, envelope({ hasMore: null, nextCursor: 'c' })) ?? '', /asked for/);
});

void test('a last page may say what it likes about cursors', () => {
  assert.equal(describeContradiction({ cursor: 'c' }, envelope({ hasMore: false, nextCursor: 'c' })), null);
  assert.equal(describeContradiction({ cursor: 'c' }, envelope({ hasMore: null, nextCursor: null })), null);
  assert.equal(describeContradiction({ cursor: 'c' }, envelope({ hasMore: true, nextCursor: 'd' })), null);
});

void test('an empty page with the cursor that was asked for is how queues end', () => {
  assert.equal(describeContradiction({ cursor: 'c' }, envelope({ hasMore: null, nextCursor: 'c' }, 0)), null);
  assert.match(
    describeContradiction({ cursor: 'c' }, envelope({ hasMore: true, nextCursor: 'c' }, 0)) ?? '',
    /asked for/,
  );
});

void test('a page above the time that was asked for gives an endpoint without windows away', () => {
  assert.equal(ignoresTimeBounds({ ...asked, untilMs: 1_000 }, page(9_000, 5_000), 2), true);
  assert.equal(ignoresTimeBounds({ ...asked, untilMs: 1_000 }, page(1_001.5, 500), 2), false);
  assert.equal(ignoresTimeBounds({ ...asked, untilMs: 1_000 }, page(9_000, 5_000, 1), 2), false, 'one wrong clock');
  assert.equal(ignoresTimeBounds({ ...asked, untilMs: 1_000, cursor: 'c' }, page(9_000, 5_000), 2), false, 'by cursor');
  assert.equal(ignoresTimeBounds(asked, page(9_000, 5_000), 2), false);
  assert.equal(ignoresTimeBounds({ ...asked, untilMs: 1_000 }, { servedCount: 0, times: null }, 2), false);
});
