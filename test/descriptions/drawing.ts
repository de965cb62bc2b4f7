/** Random cases. Small ones first: what is drawn shrinks towards a calm API with a plain description. */
import fc from 'fast-check';
import {
  FAULTS,
  type ApiTraits,
  type Case,
  type Change,
  type DataTraits,
  type DrawnFault,
  type FaultKind,
  type Start,
} from './drawn-case.ts';
import { words, type WordTraits } from './drawn-words.ts';
import { fitting } from './fitting.ts';

/** The first choice most of the time. */
function mostly<const T, const U>(usual: T, ...others: readonly U[]): fc.Arbitrary<T | U> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom<T | U>(usual, ...others) },
  );
}

/** The first choice nearly always. */
function hardlyEver<const T, const U>(usual: T, ...others: readonly U[]): fc.Arbitrary<T | U> {
  return fc.oneof(
    { weight: 19, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom<T | U>(usual, ...others) },
  );
}

const wordTraits: fc.Arbitrary<WordTraits> = fc.record({
  next: fc.constantFrom('token', 'link', 'last-id', 'last-time', 'count'),
  more: mostly('next-absent', 'short-page', 'flag', 'flag-inverse', 'flag-text', 'link'),
  order: fc.constantFrom('newest-first', 'oldest-first', 'none'),
  hasTime: mostly(true, false),
  bounds: fc.constantFrom('both', 'none', 'since', 'until'),
  format: fc.constantFrom('iso', 's', 'ms'),
  granularity: fc.constantFrom('1s', '1ms', '1us', '1m', '1d'),
  cap: mostly(null, null, null, null, 10, 40),
  timePath: fc.constantFrom(['created'], ['meta', 'at']),
  envelope: fc.constantFrom('flat', 'nested', 'bare', 'unicode'),
  inHeader: mostly(false, true),
  inBody: mostly(false, true),
  isPost: mostly(false, true),
  sizeMax: mostly(7, 20, 3, 50, null),
  inclusive: mostly(false, true),
  life: mostly(null, null, null, '60s', '150ms'),
  step: mostly('pages', 'records'),
  first: fc.constantFrom(1, 0),
  ownParam: mostly(false, true),
  auth: fc.constantFrom('bearer', 'none', 'header', 'basic', 'query'),
  fixed: mostly(false, true),
  id: mostly(['id'], ['meta', 'id'], ['ключ'], null),
  idColumn: mostly(null, 'text', 'native'),
  version: mostly(null, 'time', 'field'),
  columns: fc.subarray(['title', 'author', 'stars', 'price', 'open', 'seen_at', 'tags', 'ref', 'made_at', 'meta'], {
    minLength: 0,
  }),
  total: mostly(null, 'path', 'header'),
  errors: mostly(null, 'flat', 'code'),
  refusedBy: mostly(false, true),
});

const api: fc.Arbitrary<ApiTraits> = fc.record({
  ownSize: fc.constantFrom(10, 4, 25),
  shortEvery: mostly(0, 2, 3),
  emptyEvery: mostly(0, 0, 3),
  absence: fc.constantFrom('null', 'absent', 'empty'),
  isLeftOver: mostly(false, true),
  sinceInclusive: fc.boolean(),
  untilInclusive: fc.boolean(),
  tokenKeepsBounds: fc.boolean(),
  tokenIsNumber: mostly(false, true),
  total: mostly('all', 'asked'),
  totalIsText: mostly(false, true),
  staleStatus: fc.constantFrom(410, 400),
  emptyIsError: fc.boolean(),
  linkIsRelative: fc.boolean(),
  linkHasKey: fc.boolean(),
  isCompressed: fc.boolean(),
  noise: fc.boolean(),
  recordsAtEnd: fc.boolean(),
  latencyMs: mostly(0, 0, 2, 10),
  isUnordered: mostly(false, false, false, true),
});

const data: fc.Arbitrary<DataTraits> = fc.record({
  count: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 10, max: 60 }), fc.integer({ min: 50, max: 160 })),
  gap: fc.constantFrom(1, 60, 5_000),
  perInstant: mostly(1, 3, 12, 40),
  ids: fc.constantFrom('number', 'big-number', 'text', 'unicode', 'uuid', 'digits'),
  isFiner: mostly(false, false, true),
  timeIsText: mostly(false, true),
  noTimeEvery: mostly(0, 0, 9),
  equalEvery: mostly(0, 5),
  junkEvery: mostly(0, 0, 25),
});

const fault: fc.Arbitrary<DrawnFault> = fc.record({
  kind: fc.constantFrom<FaultKind>(...FAULTS),
  nth: fc.integer({ min: 1, max: 12 }),
  times: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2, 3) }, { weight: 1, arbitrary: fc.constant(null) }),
});

const change: fc.Arbitrary<Change> = fc.record({
  atRequest: fc.nat(12),
  add: mostly(0, 1, 3, 20),
  remove: mostly(0, 0, 1, 4),
  touch: mostly(0, 1, 3),
});

const start: fc.Arbitrary<Start> = fc.record({
  hasWrongKey: hardlyEver(false, true),
  flags: fc.record({
    concurrency: fc.constantFrom(1, 4, 2),
    pageSize: mostly(null, null, 2, 5),
    full: mostly(false, false, false, true),
    mergeInterval: mostly(false, true),
  }),
  faults: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(fault, { maxLength: 2 })),
  changes: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(change, { maxLength: 2 })),
  end: fc.record({
    how: fc.oneof(
      { weight: 12, arbitrary: fc.constant('runs' as const) },
      { weight: 5, arbitrary: fc.constant('drain' as const) },
      { weight: 1, arbitrary: fc.constant('kill' as const) },
    ),
    atRequest: fc.integer({ min: 1, max: 10 }),
    delayMs: fc.nat(20),
  }),
});

export const cases: fc.Arbitrary<Case> = fc.noBias(
  fc
    .record({
      salt: fc.nat(9_999),
      traits: wordTraits,
      wrong: hardlyEver(null, 'records', 'next', 'more', 'total'),
      api,
      data,
      starts: fc.array(start, { minLength: 1, maxLength: 3 }),
    })
    .map(({ traits, ...drawn }) => fitting({ ...drawn, words: words(traits, drawn.data) })),
);
