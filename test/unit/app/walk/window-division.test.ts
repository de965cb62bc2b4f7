import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { divideWindows, type OpenWindow } from '../../../../src/app/walk/window-division.ts';

const PAGE = 500;

function total(cuts: readonly (readonly number[])[]): number {
  return cuts.reduce((sum, of) => sum + of.length, 0);
}

void test('one window of evenly lying events is cut into as many equal parts as there are walks', () => {
  const [cuts] = divideWindows([{ fromMs: 0, toMs: 600_000, eventsPerMs: 0.5, pagesUnderWay: 1 }], {
    walks: 3,
    remainingEvents: 300_000,
    pageSize: PAGE,
  });
  // The page on its way takes the topmost 1,000 ms. An API that cuts bounds to whole seconds loses nothing.
  assert.deepEqual(cuts, [449_000, 299_000, 149_000]);
});

void test('a cut lies below all pages that are on their way', () => {
  for (const pagesUnderWay of [1, 2]) {
    const [cuts] = divideWindows([{ fromMs: 0, toMs: 6_000, eventsPerMs: 0.5, pagesUnderWay }], {
      walks: 1,
      remainingEvents: null,
      pageSize: PAGE,
    });
    // A page is 1,000 ms.
    for (const cut of cuts ?? []) assert.ok(cut < 6_000 - pagesUnderWay * 1_000, `${cut}, ${pagesUnderWay} under way`);
    assert.equal(cuts?.length, 1);
  }
});

void test('the window with the most left is divided, not the longest', () => {
  const cuts = divideWindows(
    [
      { fromMs: 0, toMs: 1_000_000, eventsPerMs: 0.01, pagesUnderWay: 1 },
      { fromMs: 1_000_000, toMs: 1_100_000, eventsPerMs: 1, pagesUnderWay: 1 },
    ],
    { walks: 1, remainingEvents: 110_000, pageSize: PAGE },
  );
  assert.deepEqual(
    cuts.map((of) => of.length),
    [0, 1],
  );
});

void test('events that no window explains are looked for where the most time is', () => {
  const quiet = { eventsPerMs: 0.001, pagesUnderWay: 1 };
  const cuts = divideWindows(
    [
      { fromMs: 0, toMs: 1_000_000, ...quiet },
      { fromMs: 1_000_000, toMs: 9_000_000, ...quiet },
    ],
    { walks: 4, remainingEvents: 500_000, pageSize: PAGE },
  );
  assert.ok((cuts[1]?.length ?? 0) >= 3);
});

void test('nothing is divided for less than a page and a bit, or for nobody', () => {
  const window = { fromMs: 0, toMs: 2_000, eventsPerMs: 0.5, pagesUnderWay: 1 };
  assert.equal(total(divideWindows([window], { walks: 3, remainingEvents: null, pageSize: PAGE })), 0);
  const large = { fromMs: 0, toMs: 2_000_000, eventsPerMs: 0.5, pagesUnderWay: 1 };
  assert.equal(total(divideWindows([large], { walks: 0, remainingEvents: null, pageSize: PAGE })), 0);
  assert.deepEqual(divideWindows([], { walks: 3, remainingEvents: 5_000, pageSize: PAGE }), []);
});

void test('a window about which nothing is known is divided only when the size of the data set is', () => {
  const unknown = { fromMs: 0, toMs: 2_000_000, eventsPerMs: null, pagesUnderWay: 1 };
  assert.equal(total(divideWindows([unknown], { walks: 3, remainingEvents: null, pageSize: PAGE })), 0);
  assert.equal(total(divideWindows([unknown], { walks: 3, remainingEvents: 50_000, pageSize: PAGE })), 3);
});

void test('all events at one instant are not cut for ever', () => {
  let window: OpenWindow = { fromMs: 0, toMs: 10_000, eventsPerMs: PAGE, pagesUnderWay: 1 };
  let rounds = 0;
  for (; rounds < 100; rounds += 1) {
    const [cuts] = divideWindows([window], { walks: 15, remainingEvents: 300_000, pageSize: PAGE });
    if (cuts === undefined || cuts.length === 0) break;
    window = { ...window, fromMs: cuts[0] ?? 0 };
  }
  assert.ok(rounds < 10, `${rounds} rounds`);
});

void test('cuts lie inside their window, newest first, and are no more than there are walks', () => {
  const openWindow = fc
    .record({
      fromMs: fc.integer({ min: -1_000_000, max: 1_000_000 }),
      lengthMs: fc.integer({ min: 0, max: 10_000_000 }),
      eventsPerMs: fc.option(fc.double({ min: 0, max: 1_000, noNaN: true })),
      pagesUnderWay: fc.integer({ min: 1, max: 2 }),
    })
    .map(({ fromMs, lengthMs, ...rest }) => ({ fromMs, toMs: fromMs + lengthMs, ...rest }));
  fc.assert(
    fc.property(
      fc.array(openWindow, { maxLength: 20 }),
      fc.integer({ min: 0, max: 40 }),
      fc.option(fc.integer({ min: 0, max: 10_000_000 })),
      fc.integer({ min: 1, max: 5_000 }),
      (windows, walks, remainingEvents, pageSize) => {
        const cuts = divideWindows(windows, { walks, remainingEvents, pageSize });
        assert.equal(cuts.length, windows.length);
        assert.ok(total(cuts) <= walks);
        for (const [index, of] of cuts.entries()) {
          const window = windows[index];
          assert.ok(window !== undefined);
          let above = window.toMs;
          for (const cut of of) {
            assert.ok(
              Number.isInteger(cut) && cut > window.fromMs && cut < above,
              `${cut} in ${JSON.stringify(window)}`,
            );
            above = cut;
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});
