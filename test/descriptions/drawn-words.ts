/** Descriptions from choices: whatever is chosen, what comes out is one that docs/sources.md allows. */
import type { JsonObject } from '../support/vendors/vendor.ts';
import { isAt } from './drawn-records.ts';
import type {
  AnswerPlace,
  AuthWords,
  ColumnType,
  CountWords,
  DataTraits,
  More,
  NextWords,
  Order,
  Path,
  RequestPlace,
  TimeWords,
  Words,
} from './drawn-case.ts';

export interface WordTraits {
  readonly next: 'token' | 'link' | 'last-id' | 'last-time' | 'count';
  readonly more: 'next-absent' | 'short-page' | 'flag' | 'flag-inverse' | 'flag-text' | 'link';
  readonly order: Order;
  readonly hasTime: boolean;
  readonly bounds: 'both' | 'none' | 'since' | 'until';
  readonly format: TimeWords['format'];
  readonly granularity: string;
  readonly cap: number | null;
  readonly timePath: Path;
  readonly envelope: 'flat' | 'nested' | 'bare' | 'unicode';
  readonly inHeader: boolean;
  readonly inBody: boolean;
  readonly isPost: boolean;
  readonly sizeMax: number | null;
  readonly inclusive: boolean;
  readonly life: string | null;
  readonly step: 'pages' | 'records';
  readonly first: number;
  /** The last record's time goes into a parameter that is no bound. */
  readonly ownParam: boolean;
  readonly auth: 'bearer' | 'none' | 'header' | 'basic' | 'query';
  /** Parameters, headers and members of the body that every request has. */
  readonly fixed: boolean;
  readonly id: Path | null;
  readonly idColumn: 'text' | 'native' | null;
  readonly version: 'time' | 'field' | null;
  readonly columns: readonly string[];
  readonly total: 'path' | 'header' | null;
  readonly errors: 'flat' | 'code' | null;
  readonly refusedBy: boolean;
}

const ENVELOPES: Readonly<
  Record<WordTraits['envelope'], Readonly<Record<'records' | 'next' | 'more' | 'total' | 'error', Path>>>
> = {
  flat: { records: ['data'], next: ['next'], more: ['more'], total: ['total'], error: ['error'] },
  nested: {
    records: ['result', 'items'],
    next: ['result', 'paging', 'cursor'],
    more: ['meta', 'more'],
    total: ['meta', 'count'],
    error: ['meta', 'error'],
  },
  bare: { records: [], next: ['next'], more: ['more'], total: ['total'], error: ['error'] },
  unicode: {
    records: ['liste à lire'],
    next: ['ключ', 'a.b'],
    more: ['mehr?'],
    total: ['総数'],
    error: ['fehler "1"'],
  },
};
const COLUMNS: Readonly<Record<string, { readonly path: Path; readonly type: ColumnType }>> = {
  title: { path: ['title'], type: 'text' },
  author: { path: ['user', 'login'], type: 'text' },
  stars: { path: ['star count'], type: 'bigint' },
  price: { path: ['price', 'net', 'amount'], type: 'numeric' },
  open: { path: ['is_open'], type: 'boolean' },
  seen_at: { path: ['seen'], type: 'timestamptz' },
  tags: { path: ['ярлыки'], type: 'jsonb' },
  ref: { path: ['ref'], type: 'uuid' },
};

export function words(traits: WordTraits, data: DataTraits): Words {
  const { envelope, order, fixed } = traits;
  const paths = ENVELOPES[envelope];
  const isBare = envelope === 'bare';
  const next = traits.next === 'last-id' && traits.id === null ? 'count' : traits.next;
  const needsTime = next === 'last-time' || traits.hasTime;
  const sorted = next === 'last-time' && order === 'none' ? 'oldest-first' : order;
  const time = needsTime ? timeWords(traits, sorted, next) : undefined;
  const isPost = traits.isPost && next !== 'link';
  const sizeMax = traits.more === 'short-page' ? (traits.sizeMax ?? 20) : traits.sizeMax;
  const size =
    sizeMax === null
      ? undefined
      : { ...place(traits, isPost, 'per_page', ['paging', 'size']), max: Math.max(sizeMax, traits.inclusive ? 3 : 1) };
  const id = traits.id ?? undefined;
  // A record that moves while it is the last one of a page takes the place of the next page with it.
  const version =
    id === undefined
      ? null
      : traits.version === 'time' && (time === undefined || next === 'last-id')
        ? 'field'
        : traits.version;
  const at = version === null ? undefined : version === 'time' ? time?.path : ['v'];
  const total: AnswerPlace | undefined =
    traits.total === null
      ? undefined
      : traits.total === 'header' || isBare
        ? { header: 'x-total' }
        : { path: paths.total };
  return without({
    name: 'drawn-case',
    url: fixed ? '${API}/lists/of things?kind=a%26b' : '${API}/list',
    method: isPost ? 'POST' : undefined,
    headers: fixed ? { 'X-Version': '2026-11-27' } : undefined,
    // Without a bound, everything: some APIs ask for one.
    query: fixed ? { view: 'full & wide', ...everything(time) } : undefined,
    body: fixed && isPost ? ({ filter: { kind: 'ключ' }, paging: { deep: true } } satisfies JsonObject) : undefined,
    auth: AUTHS[traits.auth],
    records: paths.records,
    size,
    next: nextWords(traits, next, { paths, isBare, isPost, sizeMax: size?.max ?? null, order: sorted, time }),
    more: moreWords(traits, isBare, paths.more),
    order: time === undefined ? undefined : sorted,
    time,
    id,
    version: at,
    columns: columnsOf(traits, data, { time, version: at }),
    total,
    limits: traits.refusedBy ? { refusedBy: [{ status: 403, remaining: 0 }] } : undefined,
    errors: errorWords(traits, paths.error),
  });
}

const AUTHS: Readonly<Record<WordTraits['auth'], AuthWords | undefined>> = {
  none: undefined,
  bearer: { bearer: '${KEY}' },
  header: { header: { name: 'X-Api-Key', value: 'key ${KEY}' } },
  basic: { basic: { user: '${USER_NAME}', password: '${KEY}' } },
  query: { query: { param: 'api key', value: '${KEY}' } },
};

function everything(time: TimeWords | undefined): Readonly<Record<string, string>> {
  return time?.since === undefined || time.format === 'iso' ? {} : { [time.since]: '0' };
}

type Wanted<T> = { [K in keyof T]: T[K] | undefined };

function without(said: Wanted<Words>): Words {
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as unknown as Words;
}

function place({ inBody }: WordTraits, isPost: boolean, param: string, bodyPath: Path): RequestPlace {
  return inBody && isPost ? { bodyPath } : { param };
}

function timeWords(traits: WordTraits, order: Order, next: WordTraits['next']): TimeWords {
  const { bounds, format, granularity, cap, timePath: path } = traits;
  // Milliseconds cannot be written without digits behind the point if the step is smaller; both are allowed.
  const canCap = next !== 'last-id' && next !== 'last-time';
  return {
    path,
    ...(bounds === 'both' || bounds === 'since' ? { since: 'created[gte]' } : {}),
    ...(bounds === 'both' || bounds === 'until' ? { until: 'created[lte]' } : {}),
    format,
    granularity,
    ...(cap !== null && canCap && order !== 'none' ? { cap } : {}),
  };
}

function nextWords(
  traits: WordTraits,
  next: WordTraits['next'],
  {
    paths,
    isBare,
    isPost,
    sizeMax,
    order,
    time,
  }: {
    readonly paths: (typeof ENVELOPES)['flat'];
    readonly isBare: boolean;
    readonly isPost: boolean;
    readonly sizeMax: number | null;
    readonly order: Order;
    readonly time: TimeWords | undefined;
  },
): NextWords {
  const { inHeader, life, first, inclusive } = traits;
  const count: CountWords = { param: 'page', first, step: traits.step === 'records' && sizeMax !== null ? sizeMax : 1 };
  switch (next) {
    case 'token': {
      const from: AnswerPlace = inHeader || isBare ? { header: 'x-next' } : { path: paths.next };
      return {
        token: { ...from, ...place(traits, isPost, 'cursor', ['paging', 'after']), ...(life === null ? {} : { life }) },
      };
    }
    case 'link':
      return { link: inHeader || isBare ? 'header' : { path: paths.next } };
    case 'last-id':
      return { lastRecord: { path: traits.id ?? [], param: 'after', ...(inclusive ? { inclusive } : {}) } };
    case 'last-time': {
      const bound = order === 'oldest-first' ? time?.since : time?.until;
      const param = traits.ownParam ? 'from' : (bound ?? 'from');
      return { lastRecord: { path: traits.timePath, param, inclusive: true, within: { count } } };
    }
    case 'count':
      return { count };
  }
}

function moreWords({ more, next }: WordTraits, isBare: boolean, path: Path): More | undefined {
  switch (more) {
    case 'next-absent':
      return undefined;
    case 'short-page':
      return 'short-page';
    case 'link':
      return { link: 'next' };
    case 'flag':
      return isBare ? (next === 'link' ? undefined : { link: 'next' }) : { path };
    case 'flag-inverse':
      return isBare ? undefined : { path, is: false };
    case 'flag-text':
      return isBare ? undefined : { path, is: 'to be continued' };
  }
}

function columnsOf(
  { columns, id, idColumn }: WordTraits,
  { ids }: DataTraits,
  { time, version }: { readonly time: TimeWords | undefined; readonly version: Path | undefined },
): Words['columns'] {
  const said: Record<string, { path: Path; type: ColumnType }> = {};
  if (id !== null && idColumn !== null) {
    const native = ids === 'uuid' ? 'uuid' : ids === 'text' || ids === 'unicode' ? 'text' : 'bigint';
    said['id'] = { path: id, type: idColumn === 'native' ? native : 'text' };
  }
  for (const name of columns) {
    const column = COLUMNS[name];
    if (column !== undefined) said[name] = column;
  }
  if (time !== undefined && columns.includes('made_at')) said['made_at'] = { path: time.path, type: 'timestamptz' };
  if (version !== undefined && !isAt(version, time?.path)) said['v'] = { path: version, type: 'bigint' };
  const isInside = Object.values(said).some(({ path }) => path[0] === 'meta');
  if (columns.includes('meta') && !isInside) said['meta'] = { path: ['meta'], type: 'jsonb' };
  return Object.keys(said).length === 0 ? undefined : said;
}

function errorWords({ errors }: WordTraits, path: Path): Words['errors'] {
  if (errors === null) return undefined;
  const codes = { stale: ['expired_cursor'], refusedKey: ['bad_key'], empty: ['nothing_found'] };
  return errors === 'flat' ? { path, ...codes } : { path, code: [...path, 'code'], ...codes };
}
