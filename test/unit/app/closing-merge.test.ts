import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTimeForClosingMerge } from '../../../src/app/closing-merge.ts';

/** 300,000 events that come at 35,000 a second. */
function slowSource(fetchedEvents: number, stagedEvents = fetchedEvents) {
  return { stagedEvents, fetchedEvents, remainingEvents: 300_000 - fetchedEvents, seconds: fetchedEvents / 35_000 };
}

void test('with a slow source the merge begins when the rest takes about as long', () => {
  assert.equal(isTimeForClosingMerge(slowSource(250_000)), false, 'too much would come after it');
  assert.equal(isTimeForClosingMerge(slowSource(270_000)), true);
  assert.equal(isTimeForClosingMerge(slowSource(295_000)), false, 'it would end after the last page');
});

void test('with a fast source everything is merged at the end, once', () => {
  for (let fetchedEvents = 2_600_000; fetchedEvents <= 3_000_000; fetchedEvents += 10_000) {
    const remainingEvents = 3_000_000 - fetchedEvents;
    const progress = { stagedEvents: fetchedEvents, fetchedEvents, remainingEvents, seconds: fetchedEvents / 300_000 };
    assert.equal(isTimeForClosingMerge(progress), false);
  }
});

void test('what is merged in no time is not merged early', () => {
  assert.equal(
    isTimeForClosingMerge({ stagedEvents: 40_000, fetchedEvents: 40_000, remainingEvents: 2_000, seconds: 2 }),
    false,
  );
  assert.equal(isTimeForClosingMerge({ stagedEvents: 0, fetchedEvents: 0, remainingEvents: 0, seconds: 0 }), false);
});
