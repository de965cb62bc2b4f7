/** What a description takes for the id is the same for most records: each would be one row for many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescribedScene, assertCode } from '../../support/described-scene.ts';
import { openSmallApi } from '../../support/small-api.ts';

const COUNT = 60;
const START_S = 1_790_000_000;

for (const order of ['none', 'oldest-first']) {
  void test(`an id that most records share is refused before anything is loaded, order ${order}`, async (t) => {
    const origin = await openSmallApi(t, (url, response) => {
      const query = url.searchParams;
      const from = Number(query.get('after') ?? 0);
      const end = Math.min(COUNT, from + Number(query.get('size')));
      const data = Array.from({ length: end - from }, (_, at) => ({ kind: `k${at % 7}`, at: START_S + from + at }));
      response.end(JSON.stringify({ data, next: end < COUNT ? end : null }));
    });
    const description = `
name: shared
url: ${origin}/list
records: [data]
id: [kind]
size: { param: size, max: 20 }
next: { token: { path: [next], param: after } }
order: ${order}
time: { path: [at], format: s, granularity: 1s }
`;
    const scene = await DescribedScene.of(t, { origin, records: [] }, description);
    const end = await scene.ingest(['--max-wait', '10']);
    assertCode(end, 2);
    assert.match(end.reason, /records of a first page have 7 different values at id/);
    const { rows } = await scene.database.query<{ count: string }>('SELECT count(*) FROM shared');
    assert.equal(rows[0]?.count, '0');
  });
}
