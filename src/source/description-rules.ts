/** What several words of a description must keep together: found before a request is sent, because each would lose rows, or the key. */
import type { Description } from './description.ts';
import { brokenPlaceholdersIn, HEADER_VALUE, placeholdersIn } from './fill-in.ts';
import { problem, warning, type Finding } from './finding.ts';
import { isSamePath, type RequestPlace } from './kinds.ts';
import { canBeginByTime, isByTime } from './order.ts';
import { isPlainKey } from './plain-key.ts';
import { recordFindings } from './record-rules.ts';

const NO_KEY =
  'a key must not stand in a file that is stored and shared: say it with auth, or put a variable here, like ${API_KEY}';
const MAY_HAVE_VARIABLES = new Set(['url', 'headers', 'query', 'body', 'auth']);
/** The key belongs to auth, and the rest to HTTP itself. */
const NO_HEADERS_OF_OURS: readonly (readonly [string, string])[] = [
  ['authorization', 'say it with auth, which keeps keys out of messages'],
  ...['host', 'content-length', 'connection', 'transfer-encoding', 'accept-encoding'].map(
    (name) => [name, 'the program sets this header itself'] as const,
  ),
];

export function findingsIn(description: Description): Finding[] {
  return [
    ...requestFindings(description),
    ...keyFindings(description),
    ...authFindings(description),
    ...parameterFindings(description),
    ...nextFindings(description),
    ...timeFindings(description),
    ...answerFindings(description),
    ...recordFindings(description),
  ];
}

/** Variables outside of where they may stand; these texts need not be a description yet. */
export function placeholderFindings(raw: unknown, path: readonly string[] = []): Finding[] {
  if (typeof raw === 'string') {
    if (!MAY_HAVE_VARIABLES.has(path[0] ?? '')) {
      const found = [...placeholdersIn(raw), ...brokenPlaceholdersIn(raw)];
      return found.length === 0
        ? []
        : [problem(path, 'variables of the environment stand in url, headers, query, body and auth alone')];
    }
    return brokenPlaceholdersIn(raw).map((found) =>
      problem(path, `${found} is no variable: expected \${NAME}, a name of letters, digits and _`),
    );
  }
  if (typeof raw !== 'object' || raw === null) return [];
  return Object.entries(raw).flatMap(([key, value]) => placeholderFindings(value, [...path, key]));
}

function requestFindings({ url, method, body, size, next, headers }: Description): Finding[] {
  const found: Finding[] = [];
  // What a variable at its beginning holds is checked when it is filled in.
  const example = url.replace(/^\$\{\w+\}/, 'https://x').replaceAll(/\$\{\w+\}/g, 'x');
  const parsed = URL.canParse(example) ? new URL(example) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    found.push(problem(['url'], 'expected an address that begins with https:// or http://'));
  } else if (parsed.username !== '' || parsed.password !== '') {
    found.push(problem(['url'], 'expected no user or password in an address: say them with auth'));
  } else if (parsed.hash !== '') {
    found.push(problem(['url'], 'expected no # in an address: nothing behind it is sent'));
  }
  if (method !== 'POST') {
    const places: (readonly [string[], RequestPlace])[] = [
      ...(size === undefined ? [] : [[['size'], size.at] as const]),
      ...(next.kind === 'token' ? [[['next', 'token'], next.to] as const] : []),
    ].map(([path, place]) => [[...path], place]);
    if (body !== undefined) found.push(problem(['body'], 'a body needs method: POST'));
    for (const [path, place] of places) {
      if ('bodyPath' in place) found.push(problem([...path, 'bodyPath'], 'a body needs method: POST'));
    }
  }
  for (const [name, advice] of NO_HEADERS_OF_OURS) {
    const value = headers[name];
    if (value !== undefined && !isPlainKey(name, value)) found.push(problem(['headers', name], advice));
  }
  for (const [name, value] of Object.entries(headers)) {
    if (HEADER_VALUE.test(value)) continue;
    found.push(problem(['headers', name], 'HTTP takes one line of characters up to ÿ as the value of a header'));
  }
  return found;
}

/** Keys as they are, where the key does not belong. What they are is not repeated. */
function keyFindings({ url, headers, query, body }: Description): Finding[] {
  const queryAt = url.includes('?') ? url.indexOf('?') : url.length;
  const parts = [...new URLSearchParams(url.slice(queryAt)), ['', url.slice(0, queryAt)] as const];
  return [
    ...(parts.some(([name, value]) => isPlainKey(name, value)) ? [problem(['url'], NO_KEY)] : []),
    ...textsIn({ headers, query, body })
      .filter(({ path, text }) => isPlainKey(path.at(-1) ?? '', text))
      .map(({ path }) => problem(path, NO_KEY)),
  ];
}

function textsIn(value: unknown, path: readonly string[] = []): { path: readonly string[]; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => textsIn(member, [...path, key]));
}

function authFindings({ auth, url }: Description): Finding[] {
  if (auth === undefined) return [];
  const path = ['auth', auth.kind];
  const secrets =
    auth.kind === 'bearer' ? [auth.token] : auth.kind === 'basic' ? [auth.user, auth.password] : [auth.value];
  const found: Finding[] = [];
  if (secrets.every((secret) => placeholdersIn(secret).length === 0)) {
    found.push(
      problem(path, 'a key must not stand in a file that is stored and shared: expected a variable, like ${API_KEY}'),
    );
  }
  if (auth.kind === 'query') {
    found.push(
      warning(path, 'servers and proxies log addresses, and so this key: use a header where the API takes one'),
    );
  }
  if (/^http:\/\/(?!localhost\b|127\.|\[::1\])/.test(url)) {
    found.push(warning(['url'], 'the key is sent unencrypted: use https where the API has it'));
  }
  return found;
}

/** Each parameter has one meaning. A bound may be set by the last record's value, and may have a value in query without it. */
function parameterFindings({ query, size, next, time, auth }: Description): Finding[] {
  const owners: (readonly [string, readonly string[]])[] = [];
  const add = (param: string | undefined, ...path: string[]): void => {
    if (param !== undefined) owners.push([param, path]);
  };
  if (size !== undefined && 'param' in size.at) add(size.at.param, 'size', 'param');
  if (next.kind === 'token' && 'param' in next.to) add(next.to.param, 'next', 'token', 'param');
  if (next.kind === 'count') add(next.param, 'next', 'count', 'param');
  if (next.kind === 'lastRecord') add(next.within?.param, 'next', 'lastRecord', 'within', 'count', 'param');
  if (auth?.kind === 'query') add(auth.param, 'auth', 'query', 'param');
  const fixed = owners.length;
  add(time?.since, 'time', 'since');
  add(time?.until, 'time', 'until');
  const found = owners.flatMap(([param, path], index) => {
    const earlier = owners.slice(0, index).find(([other]) => other === param);
    if (earlier !== undefined)
      return [problem(path, `the parameter ${param} is that of ${earlier[1].join('.')} already`)];
    return index < fixed && param in query
      ? [problem(['query', param], `the parameter ${param} is set by ${path.join('.')}`)]
      : [];
  });
  const setByRecord =
    next.kind === 'lastRecord' &&
    owners
      .slice(0, fixed)
      .find(([param]) => param === next.param)?.[1]
      .join('.');
  return setByRecord
    ? [...found, problem(['next', 'lastRecord', 'param'], `this parameter is that of ${setByRecord} already`)]
    : found;
}

function nextFindings({ next, size, id, time, order, more }: Description): Finding[] {
  const found: Finding[] = [];
  const step = next.kind === 'count' ? next.step : next.kind === 'lastRecord' ? next.within?.step : undefined;
  const stepPath =
    next.kind === 'count' ? ['next', 'count', 'step'] : ['next', 'lastRecord', 'within', 'count', 'step'];
  if (step !== undefined && step > 1 && size !== undefined && step !== size.max) {
    found.push(problem(stepPath, `expected 1 (it counts pages), or ${size.max} as size.max (it counts records)`));
  }
  if (more.kind === 'short-page' && size === undefined) {
    found.push(problem(['more'], 'short-page needs size: without it nobody knows which page is short'));
  }
  const leadsByWord = next.kind === 'token' || next.kind === 'link';
  if (size === undefined && more.kind === 'next-absent' && leadsByWord && !canBeginByTime({ order, time })) {
    const message =
      'without size nobody knows which page is full: where this is wrong, the first page is the whole list';
    found.push(warning(['next', next.kind], message));
  }
  if (next.kind !== 'lastRecord') return found;
  const path = ['next', 'lastRecord'];
  const isUnique = id !== undefined && isSamePath(next.path, id);
  if (next.within !== null && !next.inclusive) {
    found.push(problem([...path, 'within'], 'within needs inclusive: true, so that records of one value come again'));
  } else if (!isUnique && next.within === null) {
    found.push(
      problem(
        [...path, 'path'],
        'this value is not the id, so several records may have it, and those behind a page border would be lost: ' +
          'use the id, or inclusive: true with within: { count: … }',
      ),
    );
  }
  if (next.inclusive && size?.max === 1)
    found.push(problem(['size', 'max'], 'an inclusive page needs 2 records or more'));
  if (time === undefined) return found;
  if (order === 'none' && isByTime({ next, time })) {
    found.push(
      problem(
        ['order'],
        "expected oldest-first or newest-first, because the last record's time asks for the next page",
      ),
    );
  }
  const needed = next.param === time.since ? 'oldest-first' : next.param === time.until ? 'newest-first' : order;
  if (order !== needed) {
    found.push(problem(['order'], `expected ${needed}, because the last record's value goes into ${next.param}`));
  }
  return found;
}

function timeFindings({ order, time }: Description): Finding[] {
  if (time === undefined) {
    return order === 'none' ? [] : [problem(['order'], 'an order needs time: its path is what pages are compared by')];
  }
  if (time.cap === undefined || canBeginByTime({ order, time })) return [];
  const message = 'without a bound where the walk begins, a list that is longer than this ends with code 5';
  return [warning(['time', 'cap'], message)];
}

/** Where the body is the list, nothing stands beside it. */
function answerFindings({ records, next, more, total, errors }: Description): Finding[] {
  const found: Finding[] = [];
  if (records.length === 0) {
    const message = 'the body is the list (records: []), so nothing stands beside it: use a header';
    if (next.kind === 'token' && 'path' in next.from) found.push(problem(['next', 'token', 'path'], message));
    if (next.kind === 'link' && next.from !== 'header') found.push(problem(['next', 'link', 'path'], message));
    if (more.kind === 'path') found.push(problem(['more', 'path'], message));
    if (total !== undefined && 'path' in total) found.push(problem(['total', 'path'], message));
  }
  const { stale = [], refusedKey = [], empty = [] } = errors ?? {};
  const doubled = [...stale, ...refusedKey, ...empty].find((code, index, all) => all.indexOf(code) !== index);
  if (doubled !== undefined) found.push(problem(['errors'], `the code ${doubled} can mean one thing only`));
  return found;
}
