/** What variables of a description hold is in no line of the log, in no message, and nowhere in the database. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DescribedScene, assertCode } from '../../support/described-scene.ts';
import { openSmallApi } from '../../support/small-api.ts';

const PAGES = 4;
const KEYS = {
  FIRST: "first-key 1's (of nobody)",
  SECOND: 'second/key+2=of?nobody',
  THIRD: 'third-key-3-of-nobody',
  FOURTH: 'fourth "key" 4 of nobody',
};

const description = (origin: string): string => `
name: keys
url: "${origin}/list?first=\${FIRST}"
query: { second: "\${SECOND}" }
headers: { X-Api-Key: "\${THIRD}" }
auth: { basic: { user: nobody, password: "\${FOURTH}" } }
records: [data]
next: { link: header }
id: [id]
`;

/** Pages whose links repeat all parameters, as many APIs have it; every other answer is an error that tells what was sent. */
async function openTelltale(t: TestContext, failsFrom: number): Promise<string> {
  let requests = 0;
  const origin = await openSmallApi(t, (url, response, request) => {
    const said = { url: url.href, query: Object.fromEntries(url.searchParams), headers: request.headers };
    requests += 1;
    if (requests % 2 === 0 || requests > failsFrom) {
      response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: said }));
      return;
    }
    const isKnown =
      url.searchParams.get('first') === KEYS.FIRST &&
      url.searchParams.get('second') === KEYS.SECOND &&
      request.headers['x-api-key'] === KEYS.THIRD &&
      request.headers.authorization === `Basic ${Buffer.from(`nobody:${KEYS.FOURTH}`).toString('base64')}`;
    const page = Number(url.searchParams.get('page') ?? 1);
    url.searchParams.set('page', String(page + 1));
    url.searchParams.set('access_token', KEYS.THIRD);
    const link = page < PAGES ? { link: `<${url.pathname}${url.search}>; rel="next"` } : {};
    response.writeHead(isKnown ? 200 : 401, link).end(JSON.stringify({ data: [{ id: page }] }));
  });
  return origin;
}

/** All that the database keeps of a source, as text. */
const STATE = `SELECT table_name, query_to_xml(format('TABLE ingestion.%I', table_name), true, false, '')::text AS text
  FROM information_schema.tables WHERE table_schema = 'ingestion' AND table_type = 'BASE TABLE'`;

for (const [name, failsFrom, code] of [
  ['a run to its end', Infinity, 0],
  ['a run that is broken off', 4, 4],
] as const) {
  test(`no key is printed, and none is kept: ${name}`, async (t) => {
    const origin = await openTelltale(t, failsFrom);
    const scene = await DescribedScene.of(t, { origin, records: [] }, description(origin), KEYS);
    const end = await scene.ingest(['--max-wait', '2', '--merge-interval', '1', '--log-level', 'debug']);
    assertCode(end, code);
    const { rows: kept } = await scene.database.query<{ table_name: string; text: string }>(STATE);
    assert.ok(kept.some(({ table_name, text }) => table_name === 'state' && text.includes('page=')) || code === 0);
    const basic = Buffer.from(`nobody:${KEYS.FOURTH}`).toString('base64');
    for (const key of [...Object.values(KEYS), basic]) {
      const spellings = [key, encodeURIComponent(key), JSON.stringify(key).slice(1, -1), encodeURI(key)];
      for (const spelling of [...spellings, new URLSearchParams([['', key]]).toString().slice(1)]) {
        for (const line of [...end.log, end.reason]) assert.ok(!line.includes(spelling), line);
        for (const { table_name, text } of kept) assert.ok(!text.includes(spelling), `${table_name}: ${text}`);
      }
    }
  });
}
