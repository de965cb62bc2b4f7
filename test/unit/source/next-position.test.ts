import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureIn, nextPosition, totalIn, type AnsweredPage } from '../../../src/source/next-position.ts';
import { writeKeyAndCount } from '../../../src/source/positions.ts';
import { answered, described, headers } from './described.ts';

function after(said: object, page: Partial<AnsweredPage>, environment: Readonly<Record<string, string>> = {}) {
  return nextPosition(described(said, environment), answered(page));
}
const next = (position: string) => ({ kind: 'next', position });
const end = (by: string) => ({ kind: 'end', by });

test('a token is the position, from the body or from a header', () => {
  assert.deepEqual(after({}, { envelope: { next: 'abc' } }), next('abc'));
  const source = { next: { token: { header: 'X-Next-Page', param: 'page' } } };
  assert.deepEqual(after(source, { headers: headers({ 'x-next-page': '2' }) }), next('2'));
});

test('a token that is a number keeps its digits, or is said to have lost them', () => {
  assert.deepEqual(after({}, { envelope: { next: 42 } }), next('42'));
  assert.deepEqual(after({}, { envelope: { next: 12345678901234567890n } }), next('12345678901234567890'));
  assert.equal(after({}, { envelope: { next: 2 ** 60 } }).kind, 'unclear');
});

test('a token that no request and no database could hold is none', () => {
  for (const token of [{ a: 1 }, ['a'], true, 'a\0b', '\ud800']) {
    assert.equal(after({}, { envelope: { next: token } }).kind, 'unclear', JSON.stringify(token));
  }
});

test('without a next page the list ends, where nothing else is said of its end', () => {
  for (const envelope of [{}, { next: null }, { next: '' }, { next: false }]) {
    assert.deepEqual(after({}, { envelope }), end('next-absent'));
  }
});

test('where a flag says whether more follows, nothing else does', () => {
  const source = { more: { path: ['page', 'has_more'] } };
  const flagged = (flag: unknown, token: unknown = 't') =>
    after(source, { envelope: { page: { has_more: flag }, next: token } });
  assert.deepEqual(flagged(true), next('t'));
  assert.deepEqual(flagged('True'), next('t'));
  assert.deepEqual(flagged(false), end('more'));
  assert.deepEqual(flagged(0), end('more'));
  assert.equal(flagged(null).kind, 'unclear');
  assert.equal(flagged('perhaps').kind, 'unclear');
  assert.equal(flagged(true, null).kind, 'unclear');
  assert.equal(after(source, { envelope: { next: null } }).kind, 'unclear');
});

test('the flag may say the opposite, or be a word', () => {
  const ended = { more: { path: ['end_of_stream'], is: false } };
  assert.deepEqual(after(ended, { envelope: { end_of_stream: false, next: 't' } }), next('t'));
  assert.deepEqual(after(ended, { envelope: { end_of_stream: true, next: 't' } }), end('more'));
  const word = { more: { path: ['state'], is: 'partial' } };
  assert.deepEqual(after(word, { envelope: { state: 'partial', next: 't' } }), next('t'));
  assert.deepEqual(after(word, { envelope: { state: 'whole', next: 't' } }), end('more'));
  for (const [is, more, whole] of [
    ['true', true, false],
    [1, '1', '0'],
    [true, 1, 0],
    ['2', 2, 1],
  ] as const) {
    const flag = { more: { path: ['state'], is } };
    assert.deepEqual(after(flag, { envelope: { state: more, next: 't' } }), next('t'));
    assert.deepEqual(after(flag, { envelope: { state: whole, next: 't' } }), end('more'));
  }
});

test('a flag that has never said that more follows is no end beside the way on', () => {
  const page = { envelope: { last: false, next: 't' }, isMoreKnown: false };
  assert.deepEqual(after({ more: { path: ['last'] } }, page), { ...end('more'), shownBy: 't' });
  assert.deepEqual(after({ more: { path: ['last'] } }, { ...page, isMoreKnown: true }), end('more'));
  assert.deepEqual(after({ more: { path: ['last'] } }, { ...page, envelope: { last: false } }), end('more'));
  assert.deepEqual(after({ more: { path: ['last'] } }, { ...page, records: 0 }), end('more'));
});

test('a short page is the end only where the description says so', () => {
  assert.deepEqual(after({}, { envelope: { next: 't' }, records: 3 }), next('t'));
  const source = { more: 'short-page', next: { count: { param: 'page', first: 1, step: 1 } } };
  assert.deepEqual(after(source, { records: 3 }), { ...end('short-page'), shownBy: '2' });
  assert.deepEqual(after(source, { records: 3, mostBefore: 3, position: '2' }), { ...end('short-page'), shownBy: '3' });
  assert.deepEqual(after(source, { records: 3, mostBefore: 4, position: '2' }), end('short-page'));
  assert.deepEqual(after(source, { records: 0 }), end('short-page'));
  assert.deepEqual(after(source, { records: 3, limit: 3 }), next('2'));
});

test('a short page that is as long as any before it may be all that the API gives: what follows tells', () => {
  const source = { more: 'short-page', next: { count: { param: 'offset', first: 0, step: 100 } } };
  assert.deepEqual(after(source, { records: 30 }), next('30'));
  assert.deepEqual(after(source, { records: 30, mostBefore: 30, position: '30' }), next('60'));
  assert.deepEqual(after(source, { records: 29, mostBefore: 30, position: '60' }), end('short-page'));
  assert.deepEqual(after(source, { records: 0, mostBefore: 0 }), end('short-page'));
  assert.deepEqual(after({ more: 'short-page' }, { records: 30 }), end('next-absent'));
  assert.deepEqual(after({ more: 'short-page' }, { records: 0, envelope: { next: 'again' } }), end('short-page'));
});

test('an address of the same host is followed, from the header or from the body, also a relative one', () => {
  const inHeader = (value: string) => after({ next: { link: 'header' } }, { headers: headers({ link: value }) });
  assert.deepEqual(
    inHeader('<https://api.example.com/elsewhere?page=2#x>; rel="next"'),
    next('https://api.example.com/elsewhere?page=2'),
  );
  assert.deepEqual(inHeader('<?page=2>; rel="next"'), next('https://api.example.com/v1/things?page=2'));
  assert.deepEqual(inHeader('<https://api.example.com/v1/things?page=1>; rel="prev"'), end('next-absent'));
  const inBody = { next: { link: { path: ['links', 'next'] } } };
  assert.deepEqual(
    after(inBody, { envelope: { links: { next: '/v1/things?p=2' } } }),
    next('https://api.example.com/v1/things?p=2'),
  );
  assert.equal(after(inBody, { envelope: { links: { next: 'https://[' } } }).kind, 'unclear');
});

test('an address of another host is refused, and nothing of it is shown but the host', () => {
  for (const written of [
    'https://evil.example.org/?key=geheim',
    '//evil.example.org/geheim',
    'http://api.example.com/geheim',
    'https://api.example.com:8443/geheim',
    'https://api.example.com@evil.example.org/geheim',
    'data:text/plain,geheim',
  ]) {
    const found = after({ next: { link: 'header' } }, { headers: headers({ link: `<${written}>; rel=next` }) });
    assert.equal(found.kind, 'foreign-link', written);
    assert.ok(!JSON.stringify(found).includes('geheim'));
  }
});

test('a key that the address has is not kept with the position', () => {
  const source = { next: { link: 'header' }, auth: { query: { param: 'key', value: '${KEY}' } } };
  const link = '<https://u:p@api.example.com/v1/things?key=geheim&page=2>; rel=next';
  const found = after(source, { headers: headers({ link }) }, { KEY: 'geheim' });
  assert.deepEqual(found, next('https://api.example.com/v1/things?page=2'));
});

test('a parameter with a variable in it is kept as it is written', () => {
  const source = {
    next: { link: 'header' },
    url: 'https://api.example.com/v1/things?app=${APP}',
    query: { second: 'k ${KEY}', state: 'all' },
  };
  const found = after(
    source,
    { headers: headers({ link: '<?app=a1&second=k+geheim&state=all&page=2>; rel=next' }) },
    { KEY: 'geheim', APP: 'a1' },
  );
  assert.ok(found.kind === 'next' && !found.position.includes('geheim'));
  const query = Object.fromEntries(new URL(found.position).searchParams);
  assert.deepEqual(query, { app: '${APP}', second: 'k ${KEY}', state: 'all', page: '2' });
});

test('the last record asks for the next page, and a page without records ends the list', () => {
  const source = { next: { lastRecord: { path: ['id'], param: 'after' } } };
  assert.deepEqual(after(source, { lastRecord: { id: 'evt_9' } }), next('evt_9'));
  assert.deepEqual(after(source, { records: 0 }), end('next-absent'));
  assert.equal(after(source, { lastRecord: { other: 1 } }).kind, 'unclear');
  const flagged = { ...source, more: { path: ['has_more'] } };
  assert.equal(after(flagged, { envelope: { has_more: true }, records: 0 }).kind, 'unclear');
  assert.deepEqual(after(flagged, { envelope: { has_more: false }, lastRecord: { id: 'x' } }), end('more'));
});

test('an inclusive page of nothing but the record that was named ends the list', () => {
  const source = { next: { lastRecord: { path: ['id'], param: 'from', inclusive: true } } };
  assert.deepEqual(after(source, { lastRecord: { id: '7' }, position: '7', records: 1 }), end('next-absent'));
  assert.deepEqual(after(source, { lastRecord: { id: '9' }, position: '7', records: 2 }), next('9'));
});

test('many records of one key are read by page numbers under this key', () => {
  const within = { count: { param: 'page', first: 1, step: 1 } };
  const source = { next: { lastRecord: { path: ['at'], param: 'since', inclusive: true, within } } };
  const at = (key: string, count: number) => writeKeyAndCount({ key, count });
  const go = (position: string | null, key: string) => after(source, { position, lastRecord: { at: key } });
  assert.deepEqual(go(null, 'b'), next(at('b', 1)), 'the first page leads to its last key');
  assert.deepEqual(go(at('a', 1), 'b'), next(at('b', 1)), 'a page of several keys too');
  assert.deepEqual(go(at('b', 1), 'b'), next(at('b', 2)), 'a page of one key leads to the next page of it');
  assert.deepEqual(go(at('b', 2), 'b'), next(at('b', 3)));
  assert.deepEqual(go(at('b', 3), 'c'), next(at('c', 1)), 'until another key comes');
  assert.deepEqual(after(source, { position: at('c', 2), records: 0 }), end('next-absent'));
});

test('an inclusive page without the record that it was asked for from is no end, and nothing goes on from it', () => {
  const source = { next: { lastRecord: { path: ['id'], param: 'from', inclusive: true } }, more: { path: ['more'] } };
  const from = (first: unknown, records: number, more: boolean) =>
    after(source, {
      position: '7',
      records,
      firstRecord: first,
      lastRecord: first === null ? null : { id: '9' },
      envelope: { more },
    });
  assert.deepEqual(from({ id: '7' }, 2, true), next('9'));
  assert.deepEqual(from({ id: 7 }, 2, false), end('more'));
  assert.deepEqual(from(undefined, 2, true), next('9'), 'a broken record may be the one');
  for (const more of [true, false]) {
    assert.equal(from(null, 0, more).kind, 'record-gone');
    assert.equal(from({ id: '8' }, 2, more).kind, 'record-gone');
    assert.equal(from({}, 2, more).kind, 'record-gone');
  }
});

test('an answer by the code of nothing is no end of a page that has a record at least', () => {
  const source = {
    next: { lastRecord: { path: ['id'], param: 'from', inclusive: true } },
    errors: { path: ['error'], empty: ['none'] },
  };
  const nothing = { envelope: { error: 'none' }, records: 0, firstRecord: null };
  assert.equal(after(source, { ...nothing, position: '7' }).kind, 'record-gone');
  assert.deepEqual(after(source, nothing), end('empty'));
});

test('a page by time may begin before the record that it was asked for from, and not behind it', () => {
  const within = { count: { param: 'page', first: 1, step: 1 } };
  const lastRecord = { path: ['at'], param: 'from', inclusive: true, within };
  const from = (order: string, at: unknown, count = 1) =>
    after(
      { next: { lastRecord }, order, time: { path: ['at'], format: 'iso', granularity: '1s' } },
      {
        position: writeKeyAndCount({ key: '2026-09-24T10:00:05Z', count }),
        firstRecord: { at },
        lastRecord: { at: '2026-09-24T10:00:09Z' },
      },
    ).kind;
  for (const at of ['2026-09-24T10:00:05Z', '2026-09-24T12:00:05+02:00', '2026-09-24T10:00:04.9Z'])
    assert.equal(from('oldest-first', at), 'next', at);
  assert.equal(from('oldest-first', '2026-09-24T10:00:06Z'), 'record-gone');
  assert.equal(from('oldest-first', '2026-09-24T10:00:06Z', 2), 'next', 'further pages of a key name nothing');
  assert.equal(from('newest-first', '2026-09-24T10:00:04Z'), 'record-gone');
  assert.equal(from('newest-first', '2026-09-24T10:00:06Z'), 'next');
});

test('page numbers rise by one, offsets by the records that came', () => {
  const pages = { next: { count: { param: 'page', first: 0, step: 1 } } };
  assert.deepEqual(after(pages, {}), next('1'));
  assert.deepEqual(after(pages, { position: '7', records: 3 }), next('8'));
  assert.deepEqual(after(pages, { position: '8', records: 0 }), end('next-absent'));
  const offsets = { next: { count: { param: 'offset', first: 0, step: 100 } } };
  assert.deepEqual(after(offsets, { position: '200', records: 37 }), next('237'));
});

test('a link may say that more follows where something else asks for it', () => {
  const source = { next: { lastRecord: { path: ['id'], param: 'after' } }, more: { link: 'next' } };
  const page = { lastRecord: { id: 9 } };
  assert.deepEqual(after(source, { ...page, headers: headers({ link: '<https://x/>; rel="next"' }) }), next('9'));
  assert.deepEqual(after(source, { ...page, headers: headers({ link: '<https://x/>; rel="prev"' }) }), end('more'));
  assert.deepEqual(after(source, page), end('more'));
});

test('a body under 200 may be an error: a dead cursor, a refused key, nothing there, or any other', () => {
  const errors = { path: ['error'], stale: ['invalid_cursor'], refusedKey: ['invalid_auth'], empty: ['no_items'] };
  const failed = (error: unknown) => after({ errors }, { envelope: { error, next: 't' }, records: 0 });
  assert.deepEqual(failed('invalid_cursor'), { kind: 'stale-cursor', code: 'invalid_cursor' });
  assert.deepEqual(failed('invalid_auth'), { kind: 'key-refused', code: 'invalid_auth' });
  assert.deepEqual(failed('no_items'), end('empty'));
  assert.deepEqual(failed('fatal_error'), { kind: 'error', code: 'fatal_error' });
  assert.deepEqual(failed({ text: 'odd' }), { kind: 'error', code: null });
  for (const nothing of [undefined, null, false, '']) assert.deepEqual(failed(nothing), next('t'));
});

test('the code of an error may stand elsewhere than the error', () => {
  const source = described({ errors: { path: ['error'], code: ['error', 'code'], stale: [10] } });
  assert.deepEqual(failureIn(source, { envelope: { error: { code: 10 } } }), { kind: 'stale-cursor', code: '10' });
});

test('paths do not lead into what every object of JavaScript has', () => {
  for (const path of [['__proto__'], ['constructor', 'name'], ['toString']]) {
    assert.deepEqual(after({ next: { token: { path, param: 'cursor' } } }, { envelope: {} }), end('next-absent'));
  }
});

test('a total is a whole number from the body or from a header', () => {
  const inBody = described({ total: { path: ['meta', 'total'] } });
  const total = (value: unknown) => totalIn(inBody, answered({ envelope: { meta: { total: value } } }));
  assert.deepEqual(
    [total(3), total('4'), total(null), total(-1), total(1.5), total('many')],
    [3, 4, null, null, null, null],
  );
  const inHeader = described({ total: { header: 'X-Total' } });
  assert.equal(totalIn(inHeader, answered({ headers: headers({ 'x-total': '12' }) })), 12);
  assert.equal(totalIn(described({}), answered()), null);
});
