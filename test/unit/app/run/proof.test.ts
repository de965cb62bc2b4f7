import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaveNoGap } from '../../../../src/app/run/proof.ts';

const UNLIMITED = { sinceMs: null, untilMs: null };

/** @param bounds [since, until] of each window */
function windows(...bounds: readonly (readonly [number | null, number | null])[]) {
  return bounds.map(([sinceMs, untilMs]) => ({ sinceMs, untilMs }));
}

void test('windows that divide the range of their run leave no gap, in whatever order', () => {
  assert.ok(leaveNoGap(windows([null, null]), UNLIMITED));
  assert.ok(leaveNoGap(windows([null, 5], [9, null], [5, 9]), UNLIMITED));
  assert.ok(leaveNoGap(windows([3, 5], [5, 9]), { ...UNLIMITED, sinceMs: 3, untilMs: 9 }));
  assert.ok(leaveNoGap(windows([3, 5], [5, null]), { ...UNLIMITED, sinceMs: 3 }));
});

void test('more than the range, and windows that overlap, leave no gap', () => {
  assert.ok(leaveNoGap(windows([null, null]), { ...UNLIMITED, sinceMs: 3 }));
  assert.ok(leaveNoGap(windows([null, 7], [7, 5], [5, null]), UNLIMITED));
});

void test('a window that is gone is a gap: at the top, between others, at the bottom, or each', () => {
  assert.ok(!leaveNoGap(windows([null, 5], [5, 9]), UNLIMITED));
  assert.ok(!leaveNoGap(windows([null, 5], [9, null]), UNLIMITED));
  assert.ok(!leaveNoGap(windows([5, 9], [9, null]), UNLIMITED));
  assert.ok(!leaveNoGap(windows([5, null]), { ...UNLIMITED, sinceMs: 3 }));
  assert.ok(!leaveNoGap([], UNLIMITED));
});
