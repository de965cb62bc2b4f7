/** Cases by hand: those that random ones have found are played with every `npm test`, as small as they can be said. */
import type { ApiTraits, Case, DataTraits, Start } from './drawn-case.ts';
import { words, type WordTraits } from './drawn-words.ts';
import { fitting } from './fitting.ts';

const PLAIN_WORDS: WordTraits = {
  next: 'token',
  more: 'next-absent',
  order: 'none',
  hasTime: false,
  bounds: 'none',
  format: 'iso',
  granularity: '1s',
  cap: null,
  timePath: ['created'],
  envelope: 'flat',
  inHeader: false,
  inBody: false,
  isPost: false,
  sizeMax: 7,
  inclusive: false,
  life: null,
  step: 'pages',
  first: 1,
  ownParam: false,
  auth: 'bearer',
  fixed: false,
  id: ['id'],
  idColumn: null,
  version: null,
  columns: [],
  total: null,
  errors: null,
  refusedBy: false,
};
const PLAIN_API: ApiTraits = {
  ownSize: 10,
  shortEvery: 0,
  emptyEvery: 0,
  absence: 'null',
  isLeftOver: false,
  sinceInclusive: true,
  untilInclusive: true,
  tokenKeepsBounds: true,
  tokenIsNumber: false,
  total: 'all',
  totalIsText: false,
  staleStatus: 410,
  emptyIsError: false,
  linkIsRelative: false,
  linkHasKey: false,
  isCompressed: false,
  noise: false,
  recordsAtEnd: false,
  latencyMs: 0,
  isUnordered: false,
};
const PLAIN_DATA: DataTraits = {
  count: 30,
  gap: 60,
  perInstant: 1,
  ids: 'text',
  isFiner: false,
  timeIsText: false,
  noTimeEvery: 0,
  equalEvery: 0,
  junkEvery: 0,
};
const PLAIN_START: Start = {
  flags: { concurrency: 1, pageSize: null, full: false, mergeInterval: false },
  hasWrongKey: false,
  faults: [],
  changes: [],
  end: { how: 'runs', atRequest: 0, delayMs: 0 },
};
/** While the answer to its third request is on its way. */
export const STOPPED: Start = { ...PLAIN_START, end: { how: 'drain', atRequest: 3, delayMs: 0 } };

/** What differs from a plain case. */
interface Differing {
  readonly words?: Partial<WordTraits>;
  readonly api?: Partial<ApiTraits>;
  readonly data?: Partial<DataTraits>;
  readonly starts?: readonly Start[];
  readonly salt?: number;
}

/** A case in which only what is said is not plain. */
export function caseOf({ words: said, api, data, starts = [], salt = 1 }: Differing): Case {
  const ofData = { ...PLAIN_DATA, ...data };
  const drawn = { salt, wrong: null, api: { ...PLAIN_API, ...api }, data: ofData, starts };
  return fitting({ ...drawn, words: words({ ...PLAIN_WORDS, ...said }, ofData) });
}

export const KEPT: Readonly<Record<string, Case>> = {
  'records without an id, some of them equal': caseOf({
    words: { id: null, columns: ['title'] },
    data: { equalEvery: 5 },
  }),
  'more records of one time than a page has, from the first one on': caseOf({
    words: { next: 'last-time', order: 'oldest-first', bounds: 'since', more: 'flag' },
    data: { perInstant: 18 },
    starts: [STOPPED],
  }),
  'pages counted up to an empty one, the last records all of one time': caseOf({
    words: { next: 'count', order: 'newest-first', bounds: 'both', hasTime: true, sizeMax: null },
    data: { count: 40, perInstant: 10 },
  }),
  'a list of two records, of which a later run asks for two': caseOf({
    words: { hasTime: true, order: 'newest-first', bounds: 'both', sizeMax: 3 },
    data: { count: 2, gap: 5_000 },
    starts: [PLAIN_START],
  }),
  'records of the first minutes of 1970, below which no bound lies': caseOf({
    words: { next: 'last-time', order: 'newest-first', bounds: 'both', granularity: '1m', total: 'path' },
    data: { count: 0, gap: 1 },
    salt: 743,
    starts: [
      { ...PLAIN_START, changes: [{ atRequest: 2, add: 20, remove: 0, touch: 0 }] },
      { ...PLAIN_START, flags: { ...PLAIN_START.flags, concurrency: 4 } },
    ],
  }),
  'a chain that the API cuts off, below what is new': caseOf({
    words: { hasTime: true, cap: 10, order: 'newest-first', bounds: 'until' },
    data: { count: 74, gap: 5_000 },
  }),
  'a chain that the API cuts off, with smaller pages since a stop': caseOf({
    words: { hasTime: true, cap: 40, order: 'oldest-first' },
    data: { count: 60 },
    starts: [STOPPED, { ...PLAIN_START, flags: { ...PLAIN_START.flags, pageSize: 2 } }],
  }),
  'an error in place of the page that a time was asked for instead of a stored cursor': caseOf({
    words: { hasTime: true, cap: 10, order: 'newest-first', bounds: 'until', granularity: '1d', errors: 'flat' },
    data: { count: 94, gap: 5_000, perInstant: 40 },
    starts: [STOPPED, { ...PLAIN_START, faults: [{ kind: 'error-200', nth: 1, times: 1 }] }],
  }),
  'the newest records vanish before they are caught up with': caseOf({
    words: { hasTime: true, order: 'newest-first', bounds: 'both' },
    data: { count: 9 },
    salt: 0,
    starts: [{ ...PLAIN_START, changes: [{ atRequest: 3, add: 0, remove: 4, touch: 0 }] }],
  }),
  'a list that is read by time, is in no order, and is begun in the middle': caseOf({
    words: { next: 'last-time', order: 'oldest-first', bounds: 'since', granularity: '1ms' },
    api: { isUnordered: true },
    data: { count: 95, perInstant: 12 },
    salt: 0,
    starts: [{ ...STOPPED, flags: { ...STOPPED.flags, pageSize: 2 }, end: { ...STOPPED.end, atRequest: 5 } }],
  }),
  'a list that is read by time and is in no order, of which smaller pages look as if it were': caseOf({
    words: { next: 'last-time', order: 'oldest-first', bounds: 'since', step: 'records', first: 0 },
    api: { isUnordered: true, latencyMs: 10 },
    data: { count: 9 },
    salt: 0,
    starts: [
      { ...PLAIN_START, flags: { ...PLAIN_START.flags, pageSize: 5 } },
      { ...PLAIN_START, flags: { ...PLAIN_START.flags, pageSize: 2 } },
    ],
  }),
  'records come to the time of the last page while it is read': caseOf({
    words: { next: 'last-time', order: 'oldest-first', bounds: 'both', granularity: '1m', total: 'path' },
    api: { untilInclusive: false },
    data: { count: 5, perInstant: 40, ids: 'number' },
    salt: 0,
    starts: [{ ...PLAIN_START, changes: [{ atRequest: 8, add: 20, remove: 0, touch: 0 }] }],
  }),
  'a chain that the API cuts off, with a cursor that is left over': caseOf({
    words: { hasTime: true, cap: 40, order: 'newest-first', more: 'short-page' },
    api: { ownSize: 4 },
    data: { count: 143 },
    starts: [PLAIN_START, { ...PLAIN_START, flags: { ...PLAIN_START.flags, pageSize: 5 } }],
  }),
  'links that are left over on a list that is empty': caseOf({
    words: { next: 'link', more: 'short-page' },
    data: { count: 0 },
  }),
  'links, of which a later start asks for pages of another size': caseOf({
    words: { next: 'link', more: 'short-page', inHeader: true },
    starts: [{ ...STOPPED, flags: { ...STOPPED.flags, pageSize: 2 } }],
  }),
};
