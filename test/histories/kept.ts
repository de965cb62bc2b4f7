/** Histories that have broken the law once, or stand for a kind that has. They are played by every `npm test`. */
import type { ApiTraits, DataTraits, Fault, History, StartStep, Step, StreamTraits } from './history.ts';

const HONOURED: StreamTraits = {
  bounds: 'honoured',
  sinceInclusive: true,
  untilInclusive: true,
  sinceWithCursor: true,
  outsideRange: 'empty',
};

const API: ApiTraits = {
  stream: HONOURED,
  shape: 'doc',
  cap: 25,
  order: 'time',
  inclusiveCursor: false,
  endsWithEmptyPage: false,
  cursorLifeMs: null,
  staleAs: 400,
  cacheMs: 0,
  latencyMs: 0,
};

const DATA: DataTraits = {
  count: 200,
  ids: 'uuid',
  idKey: 'id',
  badIdEvery: 0,
  noTimeEvery: 0,
  gapMs: 60_000,
  perInstant: 1,
  lateEvery: 0,
  lateTogether: 1,
  lateMs: 0,
  doubled: { count: 0, where: 'far' },
};

function start(step: Partial<Omit<StartStep, 'do'>> = {}): StartStep {
  const usual: StartStep = {
    do: 'start',
    api: 'first',
    flags: { concurrency: 1 },
    faults: [],
    growth: [],
    end: { how: 'runs', atPage: 0, delayMs: 0 },
  };
  return { ...usual, ...step };
}

function once(kind: Fault['kind'], on: Fault['on'], nth: number): readonly Fault[] {
  return [{ kind, on, nth, times: 1 }];
}

function history(steps: readonly Step[], api: Partial<ApiTraits> = {}, data: Partial<DataTraits> = {}): History {
  return { salt: 1, api: { ...API, ...api }, data: { ...DATA, ...data }, steps };
}

const OTHER_ROWS = (deed: 'truncate' | 'drop' | 'delete-rows') =>
  history([
    start(),
    { do: 'table', deed, every: 3 },
    { do: 'verify', api: 'first' },
    start({ flags: { lookback: '60' } }),
  ]);

export const KEPT: Readonly<Record<string, History>> = {
  'an error beside an empty list is no end': history([start({ faults: once('error-beside-empty-list', 'cursor', 4) })]),
  'success: false is no end': history([start({ faults: once('success-false', 'cursor', 4) })]),
  'a 418 to a cursor is no end': history(
    [start({ flags: { concurrency: 1, range: { since: 0, until: 1 } }, faults: once('teapot', 'cursor', 4) })],
    { shape: 'live' },
  ),
  'an empty end in the middle, once': history([start({ faults: once('empty-end', 'cursor', 4) })], { stream: null }),
  'an error beside the end, again and again': history(
    [start({ faults: [{ kind: 'error-beside-empty-list-and-end', on: 'cursor', nth: 4, times: null }] })],
    { stream: null },
  ),
  // Asked so often that the limit is one: the last place comes again, and there is no room for what lies behind it.
  'no page says whether it is the last, and pages are small': history(
    [start({ flags: { concurrency: 1, pageSize: 7 }, faults: [{ kind: 'no-flag', on: 'any', nth: 1, times: null }] })],
    {},
    { gapMs: 1_000, noTimeEvery: 2 },
  ),
  'text ids of 16 characters behind an empty first page': history(
    [start({ faults: once('empty-with-cursor', 'first', 1) })],
    {},
    { ids: 'text-16' },
  ),
  'events that were refused once, and rows deleted later': history(
    [
      start({ flags: { range: { since: 0.99, until: 1 } } }),
      { do: 'table', deed: 'add-check', every: 1 },
      start({ flags: { maxRejected: '100%' } }),
      { do: 'table', deed: 'drop-checks', every: 1 },
      start({ flags: { full: true } }),
      { do: 'table', deed: 'delete-rows', every: 10 },
      { do: 'verify', api: 'first' },
      start(),
    ],
    { shape: 'live' },
  ),
  'another source, then a range of it': history(
    [
      start(),
      start({ api: 'other', flags: { newRun: true, range: { since: 0.5, until: 0.6 } } }),
      { do: 'verify', api: 'first' },
      start({ api: 'other' }),
    ],
    {},
    { gapMs: 700_000 },
  ),
  'verify with another source': history([start(), { do: 'verify', api: 'other' }]),
  'a stopped run and --full': history([
    start(),
    { do: 'grow', top: 90, late: 0, lateMs: 0 },
    { do: 'table', deed: 'delete-rows', every: 2 },
    start({ flags: { acceptFewerRows: true }, end: { how: 'drain', atPage: 2, delayMs: 0 } }),
    start({ flags: { full: true } }),
  ]),
  'a stopped run and another lookback': history(
    [
      start(),
      { do: 'grow', top: 60, late: 5, lateMs: 1_200_000 },
      start({ flags: { concurrency: 1, lookback: '0' }, end: { how: 'drain', atPage: 2, delayMs: 0 } }),
      start(),
    ],
    {},
    { gapMs: 1_000 },
  ),
  'export-ids of a stopped run': history([
    start({ end: { how: 'drain', atPage: 4, delayMs: 0 } }),
    { do: 'export' },
    start(),
    { do: 'export' },
  ]),
  'ids twice inside the lookback, many starts, rows deleted': history(
    [
      ...Array.from({ length: 5 }, () => start()),
      { do: 'table', deed: 'delete-rows', every: 8 },
      { do: 'verify', api: 'first' },
      start({ flags: { lookback: '60' } }),
    ],
    { shape: 'live' },
    { gapMs: 1_000, doubled: { count: 10, where: 'near' } },
  ),
  'late events that only growth of the total shows': history(
    [start(), { do: 'grow', top: 0, late: 3, lateMs: 20_000_000 }, start()],
    { shape: 'live' },
    { gapMs: 1_000 },
  ),
  'refused events whose id has a row, rows deleted': history(
    [
      start(),
      { do: 'table', deed: 'add-check', every: 1 },
      start({ flags: { full: true, maxRejected: '100%' } }),
      { do: 'table', deed: 'delete-rows', every: 25 },
      { do: 'verify', api: 'first' },
      start(),
    ],
    { shape: 'live' },
  ),
  'more rejected than allowed, stopped at the last page': history(
    [start({ flags: { concurrency: 1, maxRejected: '5' }, end: { how: 'drain', atPage: 1, delayMs: 0 } })],
    { latencyMs: 40 },
    { count: 20, badIdEvery: 2 },
  ),
  'an empty table': OTHER_ROWS('truncate'),
  'a table that is gone': OTHER_ROWS('drop'),
  'rows deleted': OTHER_ROWS('delete-rows'),
  'another id type for an emptied table': history([
    start({ flags: { idType: 'text' } }),
    { do: 'table', deed: 'truncate', every: 1 },
    start({ flags: { full: true, idType: 'uuid' } }),
  ]),
  'another id type for a table with rows': history([start(), start({ flags: { idType: 'text' } })]),
  'ids that the key takes for equal': history(
    [
      start({ flags: { range: { since: 0.99, until: 1 } } }),
      { do: 'table', deed: 'make-key-case-blind', every: 1 },
      start(),
      { do: 'verify', api: 'first' },
    ],
    {},
    { ids: 'case-pairs', count: 40 },
  ),
  'a key with another name': history([start()], {}, { idKey: '_id' }),
  'a key with another name, and few events': history([start()], {}, { idKey: '_id', count: 15 }),
  'only the newest ids are UUIDs': history([start()], {}, { ids: 'newest-uuid', count: 400 }),
  'a trigger that swallows rows': history([
    start({ flags: { range: { since: 0.9, until: 1 } } }),
    { do: 'table', deed: 'add-swallowing-trigger', every: 1 },
    start({ flags: { maxRejected: '100%' } }),
  ]),
  'late events in order of arrival': history(
    [start({ flags: { concurrency: 8, pageSize: 'cap' } }), { do: 'verify', api: 'first' }],
    { order: 'arrival', cap: 20, latencyMs: 5 },
    { count: 1_000, gapMs: 1_000, lateEvery: 3, lateTogether: 60, lateMs: 3_600_000 },
  ),
  'late events in order of arrival, and no bound beside a cursor': history(
    [start({ flags: { concurrency: 8, pageSize: 'cap' } })],
    { order: 'arrival', cap: 20, latencyMs: 5, stream: { ...HONOURED, sinceWithCursor: false } },
    { count: 1_000, gapMs: 1_000, lateEvery: 3, lateTogether: 60, lateMs: 3_600_000 },
  ),
  'long ids that begin alike': history([start()], { cap: 5 }, { ids: 'long-prefix' }),
  // The second page begins with one event of the instant at which the first ends, the third with two.
  'long ids that begin alike, at the instants of borders': history(
    [start()],
    { shape: 'live', cap: 20 },
    { ids: 'long-prefix', count: 60, perInstant: 21 },
  ),
  'long ids that begin alike, and no times': history(
    [start()],
    { shape: 'live', cap: 5 },
    { ids: 'long-prefix', noTimeEvery: 1 },
  ),
  // Every page begins with one of them.
  'empty ids at one instant': history(
    [start()],
    { shape: 'live', cap: 20 },
    { count: 85, badIdEvery: 5, perInstant: 85 },
  ),
  // The first event has 14 places: every twin is its own.
  'one id many times in a row, and pages of one event': history(
    [start({ flags: { concurrency: 1, pageSize: 1 } })],
    {},
    { count: 13, doubled: { count: 13, where: 'adjacent' } },
  ),
};

/** They take seconds each: played by `npm run test:histories -- --kept`. */
export const SLOW: Readonly<Record<string, History>> = {
  'ids that the API has twice, in a slow run': history(
    [start({ flags: { mergeInterval: 1, concurrency: 1 } })],
    { shape: 'live', latencyMs: 200, cap: 8 },
    { doubled: { count: 10, where: 'far' } },
  ),
};
