import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeKeyAndCount } from '../../../src/source/positions.ts';
import { requestShape, type AskedPage } from '../../../src/source/request-shape.ts';
import { described } from './described.ts';

const FIRST: AskedPage = { position: null, limit: 50, sinceMs: null, untilMs: null };
const TIME = {
  path: ['created'],
  since: 'created[gte]',
  until: 'created[lte]',
  format: 's',
  granularity: '1s',
};

function queryOf(url: URL): Record<string, string> {
  return Object.fromEntries(url.searchParams);
}

test('a first page is asked for with its size, and with what the description says of every request', () => {
  const source = described({ query: { state: 'all', deep: true }, headers: { 'X-Version': 3 } });
  const { method, url, headers, body } = requestShape(source, FIRST);
  assert.equal(method, 'GET');
  assert.deepEqual(queryOf(url), { state: 'all', deep: 'true', limit: '50' });
  assert.deepEqual(headers, { accept: 'application/json', 'x-version': '3' });
  assert.equal(body, null);
});

test('no more records are asked for than the API gives', () => {
  assert.equal(queryOf(requestShape(described({}), { ...FIRST, limit: 5000 }).url)['limit'], '100');
});

test('a token is sent back as it came', () => {
  const position = 'a+/=&b c%20';
  assert.equal(requestShape(described({}), { ...FIRST, position }).url.searchParams.get('cursor'), position);
});

test('a POST has token and size where the description places them, beside its own body', () => {
  const source = described({
    method: 'POST',
    body: { filter: { value: 'page' }, page: { size: 1 } },
    size: { bodyPath: ['page', 'size'], max: 100 },
    next: { token: { path: ['next'], bodyPath: ['page', 'start', 'at'] } },
  });
  const { headers, body } = requestShape(source, { ...FIRST, position: 'x' });
  assert.equal(headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(body ?? ''), {
    filter: { value: 'page' },
    page: { size: 50, start: { at: 'x' } },
  });
});

test('a link is asked for as it is, without size and bounds, and with the key that it must not hold', () => {
  const source = described(
    {
      next: { link: 'header' },
      query: { state: 'all' },
      time: TIME,
      auth: { query: { param: 'key', value: '${KEY}' } },
    },
    { KEY: 'geheim-1' },
  );
  const position = 'https://api.example.com/other?page=2&sig=a%2Bb';
  const { url } = requestShape(source, { ...FIRST, position, sinceMs: 1 });
  assert.deepEqual(queryOf(url), { page: '2', sig: 'a+b', key: 'geheim-1' });
});

test('what a link has in place of a variable is sent, and nothing that the link leaves out', () => {
  const source = described({ next: { link: 'header' }, query: { a: '${A}', b: '${B}' } }, { A: 'one', B: 'two' });
  const position = 'https://api.example.com/other?page=2&a=%24%7BA%7D';
  const { url } = requestShape(source, { ...FIRST, position });
  assert.deepEqual(queryOf(url), { page: '2', a: 'one' });
});

test('bounds are sent one step wider, so that it does not matter whether they are inclusive', () => {
  const { url } = requestShape(described({ time: TIME }), { ...FIRST, sinceMs: 10_500, untilMs: 20_001 });
  assert.deepEqual(queryOf(url), { limit: '50', 'created[gte]': '9', 'created[lte]': '22' });
});

test('bounds have the format and the granularity of the description', () => {
  const written = (format: string, granularity: string): (string | null)[] => {
    const { url } = requestShape(described({ time: { ...TIME, format, granularity } }), {
      ...FIRST,
      sinceMs: 1_512_085_950_000.25,
      untilMs: 1_512_085_950_000.25,
    });
    return [url.searchParams.get('created[gte]'), url.searchParams.get('created[lte]')];
  };
  assert.deepEqual(written('s', '1us'), ['1512085950.000249', '1512085950.000251']);
  assert.deepEqual(written('s', '1ms'), ['1512085949.999', '1512085950.002']);
  assert.deepEqual(written('s', '1m'), ['1512085860', '1512086040']);
  assert.deepEqual(written('ms', '1ms'), ['1512085949999', '1512085950002']);
  assert.deepEqual(written('iso', '1s'), ['2017-11-30T23:52:29Z', '2017-11-30T23:52:32Z']);
  assert.deepEqual(written('iso', '1ms'), ['2017-11-30T23:52:29.999Z', '2017-11-30T23:52:30.002Z']);
  assert.deepEqual(written('iso', '1us'), ['2017-11-30T23:52:30.000249Z', '2017-11-30T23:52:30.000251Z']);
  assert.deepEqual(written('iso', '1d'), ['2017-11-29', '2017-12-02']);
});

test('no bound is sent before 1970, nor one that has no parameter', () => {
  const asked = { ...FIRST, sinceMs: 400, untilMs: 2000 };
  const { url } = requestShape(described({ time: { ...TIME, until: undefined } }), asked);
  // As a bound, 1970 itself would leave out its first second where the API takes bounds as exclusive.
  assert.deepEqual(queryOf(url), { limit: '50' });
});

test('the last record takes the place of the bound whose parameter it has', () => {
  const source = described({
    next: {
      lastRecord: {
        path: ['at'],
        param: 'since',
        inclusive: true,
        within: { count: { param: 'page', first: 1, step: 1 } },
      },
    },
    time: { path: ['at'], since: 'since', format: 'iso', granularity: '1s' },
  });
  const bounds = { sinceMs: 1_000, untilMs: null };
  assert.equal(queryOf(requestShape(source, { ...FIRST, ...bounds }).url)['since'], '1970-01-01T00:00:00Z');
  const position = writeKeyAndCount({ key: '2011-04-22T13:33:48Z', count: 2 });
  const { url } = requestShape(source, { ...FIRST, ...bounds, position });
  assert.deepEqual(queryOf(url), { limit: '50', since: '2011-04-22T13:33:48Z', page: '2' });
});

test('a count begins where the description says', () => {
  const source = described({ next: { count: { param: 'offset', first: 0, step: 100 } } });
  assert.equal(queryOf(requestShape(source, FIRST).url)['offset'], '0');
  assert.equal(queryOf(requestShape(source, { ...FIRST, position: '300' }).url)['offset'], '300');
});

test('a key is sent as the description says', () => {
  const shapes = {
    bearer: { bearer: '${KEY}' },
    basic: { basic: { user: '${KEY}', password: '' } },
    header: { header: { name: 'X-Api-Key', value: 'Token ${KEY}' } },
    query: { query: { param: 'api_key', value: '${KEY}' } },
  };
  const sent = Object.entries(shapes).map(([kind, auth]) => {
    const source = described(
      { auth, url: 'https://${HOST}/v1/${KEY}/things' },
      { KEY: 'geheim', HOST: 'api.example.com' },
    );
    const { url, headers } = requestShape(source, { ...FIRST, position: 'opaque' });
    assert.equal(url.pathname, '/v1/geheim/things', kind);
    return headers['authorization'] ?? headers['x-api-key'] ?? url.searchParams.get('api_key');
  });
  assert.deepEqual(sent, ['Bearer geheim', 'Basic Z2VoZWltOg==', 'Token geheim', 'geheim']);
});
