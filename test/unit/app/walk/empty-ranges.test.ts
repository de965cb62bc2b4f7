import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmptyRanges } from '../../../../src/app/walk/empty-ranges.ts';

void test('a window is empty where an answer has shown that nothing lies, and not where its newest event may be', () => {
  const ranges = new EmptyRanges();
  ranges.note(900, 400);
  assert.ok(ranges.covers({ sinceMs: 500, untilMs: 900 }));
  assert.ok(ranges.covers({ sinceMs: 401, untilMs: 600 }));
  assert.ok(!ranges.covers({ sinceMs: 400, untilMs: 600 }));
  assert.ok(!ranges.covers({ sinceMs: 500, untilMs: 901 }));
  assert.ok(!ranges.covers({ sinceMs: null, untilMs: 600 }));
  assert.ok(!ranges.covers({ sinceMs: 500, untilMs: null }));
});

void test('an answer from above what was asked for, or to no bound, shows nothing', () => {
  const ranges = new EmptyRanges();
  ranges.note(900, 901);
  ranges.note(null, 10);
  ranges.noteSilence(null);
  assert.ok(!ranges.covers({ sinceMs: 500, untilMs: 900 }));
  assert.equal(ranges.below(900), 900);
});

void test('what is left of a stretch is what is not known to be empty', () => {
  const ranges = new EmptyRanges();
  ranges.note(900, 400);
  assert.deepEqual([ranges.above(300), ranges.above(400), ranges.above(899), ranges.above(900)], [300, 900, 900, 900]);
  assert.deepEqual([ranges.below(400), ranges.below(401), ranges.below(900), ranges.below(901)], [400, 400, 400, 901]);
});

void test('silence counts from the third answer, for all that lies below each of them', () => {
  const ranges = new EmptyRanges();
  ranges.noteSilence(900);
  ranges.noteSilence(700);
  assert.ok(!ranges.isSilentBelow(700));
  ranges.noteSilence(800);
  assert.ok(ranges.isSilentBelow(700));
  assert.ok(!ranges.isSilentBelow(701));
  assert.ok(!ranges.isSilentBelow(null));
  assert.equal(ranges.above(100), 700);
});
