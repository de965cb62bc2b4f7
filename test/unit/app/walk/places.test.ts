import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PlaceCounter, type CountedRange } from '../../../../src/app/walk/places.ts';
import type { PagePlaces } from '../../../../src/core/encoded-page.ts';
import type { CountMarks, WalkEdge } from '../../../../src/core/state.ts';

/** An event of a list: its time, NaN for none, and its id. */
interface Listed {
  readonly ms: number;
  readonly id: string;
}

const NO_MARKS: CountMarks = { topMs: null, recentMs: null };
const EVERYTHING: CountedRange = { sinceMs: null, untilMs: null, isOrderedByTime: true, widenedMs: 2 };

/** What a worker says of a page, when the page before it ended at `edge`. */
function page(events: readonly Listed[], edge: WalkEdge | null): PagePlaces {
  const lastMs = events.findLast(({ ms }) => !Number.isNaN(ms))?.ms;
  const tail: string[] = [];
  for (const { ms, id } of events.toReversed()) {
    if (Number.isNaN(ms)) continue;
    if (ms !== lastMs) break;
    tail.unshift(id);
  }
  return {
    timesMs: Float64Array.from(events.map(({ ms }) => ms)),
    instantKeys: events.filter(({ ms }) => ms === edge?.atMs).map(({ id }) => id),
    keys: [],
    edgeKeys: tail,
    firstDigest: events[0] === undefined ? null : `${events[0].ms} ${events[0].id}`,
    beginnings: [],
    lastDigest: events.at(-1) === undefined ? null : `${String(events.at(-1)?.ms)} ${String(events.at(-1)?.id)}`,
  };
}

class Walk {
  counter: PlaceCounter;
  places = 0;
  unsure = 0;
  repeated = 0;
  readonly #range: CountedRange;

  constructor(range: CountedRange = EVERYTHING, edge: WalkEdge | null = null) {
    this.counter = new PlaceCounter(edge);
    this.#range = range;
  }

  serve(events: readonly Listed[], range = this.#range): this {
    const counts = this.counter.count(page(events, this.counter.edge), range, NO_MARKS);
    this.places += counts.places;
    this.unsure += counts.unsure;
    this.repeated += counts.repeated;
    return this;
  }

  again(): this {
    this.counter.beginAgain();
    return this;
  }
}

const at = (ms: number, id = `e${ms}`): Listed => ({ ms, id });

void test('every serving in one chain is a place, an id that the API has twice included', () => {
  const walk = new Walk().serve([at(9), at(8, 'a'), at(7)]).serve([at(6, 'a'), at(5)]);
  assert.equal(walk.places, 5);
});

void test('an id of the instant where a page ended, further down at that instant, may be a repeat', () => {
  const walk = new Walk().serve([at(9), at(8, 'a'), at(8, 'b')]).serve([at(8, 'c'), at(8, 'a'), at(8, 'd'), at(7)]);
  assert.deepEqual([walk.places, walk.unsure], [6, 1]);
});

void test('windows are half open: an event at a bound counts for the window above it, and nowhere else', () => {
  const upper = new Walk({ ...EVERYTHING, sinceMs: 5 }).serve([at(7), at(6), at(5), at(4.5)]);
  const lower = new Walk({ ...EVERYTHING, untilMs: 5 }).serve([at(5.5), at(5), at(4.5), at(4)]);
  assert.deepEqual([upper.places, lower.places], [3, 2]);
});

void test('a chain that begins again by time counts only what lies below the last, and ids decide at one instant', () => {
  const walk = new Walk().serve([at(9), at(8, 'a'), at(8, 'b')]).again();
  walk.serve([at(9), at(8, 'a'), at(8, 'b'), at(8, 'c'), at(7)]);
  assert.equal(walk.places, 5);
});

void test('at an instant that was begun again an id counts as often as the serving that had it most often', () => {
  const walk = new Walk().serve([at(8, 'a'), at(8, 'a')]).again();
  walk.serve([at(8, 'a')]).serve([at(8, 'a'), at(8, 'a'), at(7)]);
  assert.equal(walk.places, 4);
});

void test('in a chain by time, a page that begins its instant anew counts nothing of it twice', () => {
  const instant = [at(8, 'a'), at(8, 'b')];
  const walk = new Walk().serve(instant).again().serve(instant);
  walk.serve([...instant, at(8, 'c'), at(7)], { ...EVERYTHING, beginsInstant: true });
  assert.deepEqual([walk.places, walk.unsure], [4, 0]);
});

void test('in a chain by time, what an inclusive cursor brings for the third time is unsure', () => {
  const walk = new Walk().serve([at(9), at(8, 'a')]).again();
  walk.serve([at(8, 'a')]).serve([at(8, 'a'), at(7)]);
  assert.deepEqual([walk.places, walk.unsure], [3, 1]);
});

void test('what a cursor repeats at the top of a page is counted apart', () => {
  const walk = new Walk()
    .serve([at(9), at(8)])
    .serve([at(8), at(7)])
    .serve([at(7), at(6)]);
  assert.deepEqual([walk.places, walk.repeated], [4, 2]);
});

void test('an id that comes again at each border may be one that the API has often', () => {
  const walk = new Walk()
    .serve([at(9), at(8, 'a')])
    .serve([at(8, 'a'), at(8, 'a')])
    .serve([at(8, 'a'), at(7)]);
  assert.deepEqual([walk.places, walk.repeated, walk.unsure], [4, 1, 1]);
});

void test('only the first event of a page can be one without a time that a cursor repeats', () => {
  const none = (id: string): Listed => at(Number.NaN, id);
  const timedEdge = new Walk().serve([at(9), none('x'), at(8)]).serve([at(8), none('y'), at(7)]);
  assert.deepEqual([timedEdge.places, timedEdge.repeated, timedEdge.unsure], [4, 1, 1]);
  const untimedEdge = new Walk().serve([at(9), at(8), none('x')]).serve([none('x'), none('y'), at(8), at(7)]);
  assert.deepEqual([untimedEdge.places, untimedEdge.repeated, untimedEdge.unsure], [5, 1, 1]);
});

void test('an event without a time counts where its neighbours do, and is unsure between the sides of a bound', () => {
  const none = at(Number.NaN, 'x');
  const upper = { ...EVERYTHING, sinceMs: 5 };
  assert.deepEqual(counts(new Walk(upper).serve([at(7), none, at(6)])), [3, 0]);
  assert.deepEqual(counts(new Walk(upper).serve([at(2), none, at(1)])), [0, 0]);
  assert.deepEqual(counts(new Walk(upper).serve([at(6), none, at(4)])), [1, 1]);
  assert.deepEqual(counts(new Walk().serve([none, none])), [2, 0]);
  // Served because bounds are sent widened, perhaps by a time that is not shown.
  assert.deepEqual(counts(new Walk(upper).serve([at(4), none, at(3)])), [0, 1]);
});

void test('without an order by time one chain counts every serving inside its bounds', () => {
  const range = { ...EVERYTHING, isOrderedByTime: false };
  assert.equal(new Walk(range).serve([at(5), at(9), at(1)]).serve([at(8)]).places, 4);
  assert.equal(new Walk({ ...range, sinceMs: 4 }).serve([at(5), at(9), at(1)]).places, 2);
});

void test('too many keys at one instant to be remembered make what comes again unsure', () => {
  const walk = new Walk(EVERYTHING, { atMs: 8, keys: null }).again().serve([at(9), at(8, 'a'), at(7)]);
  assert.deepEqual(counts(walk), [1, 1]);
});

void test('places above a mark are counted apart', () => {
  const counter = new PlaceCounter(null);
  const found = counter.count(page([at(9), at(8), at(7)], null), EVERYTHING, { topMs: 9, recentMs: 8 });
  assert.deepEqual([found.places, found.topPlaces, found.recentPlaces], [3, 1, 2]);
});

/** Page sizes, and what happens after each page: its cursor dies, another process goes on. */
interface Turn {
  readonly size: number;
  readonly dies: boolean;
  readonly resumes: boolean;
}

const cutsMs = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 });
const turns = fc.array(fc.record({ size: fc.integer({ min: 1, max: 7 }), dies: fc.boolean(), resumes: fc.boolean() }), {
  minLength: 60,
  maxLength: 60,
});
const listed = fc.record({ ms: fc.integer({ min: 0, max: 30 }), id: fc.constantFrom('a', 'b', 'c') });

void test('however a list is cut into windows, pages and chains, and whoever goes on: each place is counted once', () => {
  const lists = fc.uniqueArray(listed, { maxLength: 60, selector: ({ ms, id }) => `${ms} ${id}` });
  fc.assert(
    fc.property(lists, cutsMs, turns, (list, cuts, plan) => {
      assert.equal(walkAll(list, cuts, plan).places, list.length);
    }),
    { numRuns: 500 },
  );
});

void test('where an id comes several times at one instant, the places lie between those that are sure and those that may be', () => {
  fc.assert(
    fc.property(fc.array(listed, { maxLength: 60 }), cutsMs, turns, (list, cuts, plan) => {
      const { places, repeated, unsure } = walkAll(list, cuts, plan);
      const atMost = places + repeated + unsure;
      assert.ok(places <= list.length && list.length <= atMost, `${places} to ${atMost}`);
    }),
    { numRuns: 500 },
  );
});

function walkAll(
  unsorted: readonly Listed[],
  cuts: readonly number[],
  plan: readonly Turn[],
): Pick<Walk, 'places' | 'repeated' | 'unsure'> {
  const list = unsorted.toSorted((one, other) => other.ms - one.ms || one.id.localeCompare(other.id));
  const bounds = [null, ...new Set(cuts.toSorted((one, other) => other - one)), null];
  const sum = { places: 0, repeated: 0, unsure: 0 };
  for (let index = 0; index + 1 < bounds.length; index += 1) {
    const range = { ...EVERYTHING, untilMs: bounds[index] ?? null, sinceMs: bounds[index + 1] ?? null };
    const walk = walkWindow(list, range, plan);
    sum.places += walk.places;
    sum.unsure += walk.unsure;
    sum.repeated += walk.repeated;
  }
  return sum;
}

/** Bounds are sent a millisecond wider on both sides, a dead cursor begins at the last time again. */
function walkWindow(list: readonly Listed[], range: CountedRange, plan: readonly Turn[]): Walk {
  const walk = new Walk(range);
  const { sinceMs, untilMs } = range;
  const isServed = ({ ms }: Listed): boolean =>
    (untilMs === null || ms <= untilMs + 1) && (sinceMs === null || ms >= sinceMs - 1);
  const served = list.filter(isServed);
  let next = 0;
  let deaths = 0;
  for (const { size, dies, resumes } of plan) {
    walk.serve(served.slice(next, next + size));
    next += size;
    if (resumes) walk.counter = new PlaceCounter(walk.counter.edge);
    const { edge } = walk.counter;
    if (!dies || edge === null || next >= served.length || deaths > 8) continue;
    deaths += 1;
    walk.again();
    next = served.findIndex(({ ms }) => ms <= edge.atMs + 1);
  }
  return walk.serve(served.slice(next));
}

function counts({ places, unsure }: Walk): [number, number] {
  return [places, unsure];
}
