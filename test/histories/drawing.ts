/** Random histories. Small ones first: what is drawn shrinks towards a calm API and a plain start. */
import fc from 'fast-check';
import {
  FAULTS,
  TABLE_DEEDS,
  type ApiTraits,
  type DataTraits,
  type Fault,
  type FaultKind,
  type History,
  type StartFlags,
  type StartStep,
  type Step,
  type StreamTraits,
} from './history.ts';

/** Pages of a whole walk, so that a history stays short. */
const MOST_PAGES = 40;
const SMALLEST_CAP = 5;

/** The first choice nearly always. */
function hardlyEver<const T, const U>(usual: T, ...others: readonly U[]): fc.Arbitrary<T | U> {
  return fc.oneof(
    { weight: 19, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom<T | U>(usual, ...others) },
  );
}

/** The first choice most of the time. */
function mostly<const T, const U>(usual: T, ...others: readonly U[]): fc.Arbitrary<T | U> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom<T | U>(usual, ...others) },
  );
}

const stream: fc.Arbitrary<StreamTraits> = fc.record({
  bounds: mostly('honoured', 'ignored'),
  sinceInclusive: fc.constantFrom(true, false),
  untilInclusive: fc.constantFrom(true, false),
  sinceWithCursor: fc.constantFrom(true, false),
  outsideRange: mostly('empty', 418),
});

const api = (count: number): fc.Arbitrary<ApiTraits> =>
  fc
    .record({
      stream: fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 3, arbitrary: stream }),
      shape: fc.constantFrom('live', 'doc', 'null-cursor'),
      pages: fc.integer({ min: 1, max: MOST_PAGES }),
      order: mostly('time', 'arrival'),
      inclusiveCursor: mostly(false, true),
      cursorLifeMs: mostly(null, 300),
      staleAs: fc.constantFrom(400, 410),
      cacheMs: mostly(0, 0, 0, 30_000),
      latencyMs: mostly(0, 3, 15, 40),
      endsWithEmptyPage: mostly(false, false, true),
    })
    .map(({ pages, ...traits }) => ({ ...traits, cap: Math.max(SMALLEST_CAP, Math.ceil(count / pages)) }));

const data: fc.Arbitrary<DataTraits> = fc.record({
  count: fc.oneof(
    fc.integer({ min: 0, max: 30 }),
    fc.integer({ min: 30, max: 400 }),
    fc.integer({ min: 300, max: 800 }),
  ),
  ids: fc.oneof(
    { weight: 19, arbitrary: mostly('uuid', 'text', 'text-16', 'long-prefix') },
    { weight: 1, arbitrary: fc.constantFrom('newest-uuid' as const, 'case-pairs' as const) },
  ),
  // Whole runs are rejected for these, and nothing else can show: so seldom.
  idKey: hardlyEver('id', '_id'),
  badIdEvery: mostly(0, 100, 30, 0, 0, 6),
  noTimeEvery: mostly(0, 100, 10, 2),
  gapMs: fc.constantFrom(1_000, 60_000, 1, 700_000),
  perInstant: mostly(1, 3, 20),
  lateEvery: mostly(0, 50, 10, 4),
  lateTogether: fc.constantFrom(1, 12, 60),
  lateMs: fc.constantFrom(60_000, 3_600_000, 40_000_000),
  doubled: fc.record({ count: mostly(0, 1, 10, 40), where: fc.constantFrom('adjacent', 'near', 'far') }),
});

/** Once or twice anything may go wrong; for ever only what is no end by any reading of the contract. */
const fault: fc.Arbitrary<Fault> = fc
  .record({
    kind: fc.constantFrom<FaultKind>(...FAULTS),
    on: fc.constantFrom<Fault['on']>('cursor', 'any', 'first'),
    nth: fc.integer({ min: 1, max: 12 }),
    times: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(1, 2) }, { weight: 1, arbitrary: fc.constant(null) }),
  })
  .map((drawn) => {
    // An API that says at its top, or at the top of a window, that there is nothing has said so.
    const saysNothing = drawn.kind === 'empty-end' || drawn.kind === 'teapot';
    return saysNothing ? { ...drawn, on: 'cursor' } : drawn;
  });

const flags: fc.Arbitrary<StartFlags> = fc
  .record({
    full: mostly(false, true),
    newRun: mostly(false, false, false, true),
    acceptFewerRows: mostly(false, false, true),
    lookback: mostly(undefined, '0', '60', '10m'),
    range: fc.oneof(
      { weight: 9, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom({ since: 0.5, until: 0.6 }, { since: 0, until: 0.8 }) },
    ),
    concurrency: fc.constantFrom(1, 2, 4, 8),
    pageSize: fc.constantFrom<StartFlags['pageSize']>('cap', 'cap', undefined, 25, 7),
    mergeInterval: mostly(undefined, 1),
    maxRejected: mostly(undefined, undefined, '5', '100%'),
    idType: mostly(undefined, undefined, undefined, 'text', 'uuid'),
  })
  .map((drawn) =>
    Object.fromEntries(Object.entries(drawn).filter(([, value]) => value !== undefined && value !== false)),
  );

const start: fc.Arbitrary<StartStep> = fc.record({
  do: fc.constant('start'),
  api: mostly('first', 'first', 'first', 'first', 'first', 'other'),
  flags,
  faults: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(fault, { maxLength: 2 })),
  growth: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    fc.array(fc.record({ atPage: fc.integer({ min: 1, max: 20 }), top: fc.nat(10), late: fc.nat(5) }), {
      maxLength: 2,
    }),
  ),
  end: fc.record({
    how: fc.oneof(
      { weight: 12, arbitrary: fc.constant('runs' as const) },
      { weight: 3, arbitrary: fc.constant('drain' as const) },
      { weight: 1, arbitrary: fc.constant('kill' as const) },
    ),
    atPage: fc.integer({ min: 1, max: 25 }),
    delayMs: fc.nat(40),
  }),
});

const between: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('table' as const),
      deed: fc.constantFrom(...TABLE_DEEDS),
      every: fc.constantFrom(2, 10, 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('grow' as const),
      top: fc.nat(60),
      late: mostly(0, 3, 20),
      lateTogether: fc.constantFrom(1, 12, 60),
      lateMs: fc.constantFrom(30_000, 1_200_000, 20_000_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('lose' as const),
      which: fc.constantFrom('oldest' as const, 'any' as const),
      count: fc.integer({ min: 1, max: 60 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('verify' as const), api: mostly('first' as const, 'other' as const) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'export' as const }) },
);

/** Starts, with zero to two other things after each. */
const steps: fc.Arbitrary<Step[]> = fc
  .array(fc.tuple(start, fc.array(between, { maxLength: 2 })), { minLength: 1, maxLength: 4 })
  .map((turns) => turns.flatMap(([first, rest]) => [first, ...rest]));

/** Only where it can be asked by time, or counts, an API that says again and again that its list is over can be doubted. */
function isDoubtable({ stream, shape, order }: ApiTraits): boolean {
  return shape === 'live' || (stream?.bounds === 'honoured' && order === 'time');
}

/** Of ends that are the API's own word by the contract, such an API gives one or two in a row, not more. */
function withBelievableEnds(drawn: readonly Step[]): Step[] {
  return drawn.map((step) => {
    if (step.do !== 'start') return step;
    const [end] = step.faults.filter(({ kind }) => kind === 'empty-end');
    const others = step.faults.filter(({ kind }) => kind !== 'empty-end');
    return end === undefined ? step : { ...step, faults: [...others, { ...end, times: end.times ?? 2 }] };
  });
}

export const histories: fc.Arbitrary<History> = fc
  .noBias(
    data.chain((drawn) => fc.record({ salt: fc.nat(999), data: fc.constant(drawn), api: api(drawn.count), steps })),
  )
  .map((history) => (isDoubtable(history.api) ? history : { ...history, steps: withBelievableEnds(history.steps) }));
