import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTimeForEarlyMerge } from '../../../../src/load/merge/early-merge.ts';

/** The first share at which the merge begins, of 3,000,000 events that come at a steady pace. */
function beginsAt(eventsPerSecond: number): number {
  for (let fetchedEvents = 10_000; fetchedEvents <= 3_000_000; fetchedEvents += 10_000) {
    const remainingEvents = 3_000_000 - fetchedEvents;
    const seconds = fetchedEvents / eventsPerSecond;
    if (isTimeForEarlyMerge({ stagedEvents: fetchedEvents, fetchedEvents, remainingEvents, seconds })) {
      return fetchedEvents / 3_000_000;
    }
  }
  return 1;
}

void test('the slower the source, the later the merge begins: what is there is moved when the last page comes', () => {
  assert.ok(Math.abs(beginsAt(400_000) - 0.6) < 0.01, `fast: at ${beginsAt(400_000)}`);
  assert.ok(Math.abs(beginsAt(200_000) - 0.75) < 0.01, `slower: at ${beginsAt(200_000)}`);
  assert.ok(Math.abs(beginsAt(20_000) - 0.97) < 0.01, `slow: at ${beginsAt(20_000)}`);
});

void test('what is merged in no time is not merged early', () => {
  assert.equal(
    isTimeForEarlyMerge({ stagedEvents: 40_000, fetchedEvents: 40_000, remainingEvents: 2_000, seconds: 2 }),
    false,
  );
  const capped = { stagedEvents: 60_000, fetchedEvents: 60_000, remainingEvents: 0, seconds: 2 };
  assert.equal(isTimeForEarlyMerge(capped), false, 'a total that is too small is no sign of the end');
  assert.equal(isTimeForEarlyMerge({ stagedEvents: 0, fetchedEvents: 0, remainingEvents: 0, seconds: 0 }), false);
});
