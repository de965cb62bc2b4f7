/** Records without a time at the end of a list in order of time: no bound finds them. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DescribedScene, assertCode } from '../../support/described-scene.ts';
import { openSmallApi } from '../../support/small-api.ts';

const TIMELESS = 25;
const LATEST_S = 1_790_243_999;
const RECORDS = Array.from({ length: 300 }, (_, at) => ({
  id: at + 1,
  at: at < 300 - TIMELESS ? LATEST_S - 60 * at : null,
}));
const STALE = JSON.stringify({ error: 'stale_cursor' });

/** Its cursors are places in the list of their bounds. @param isStale whether the answer to a request says so */
async function openApi(t: TestContext, isStale: (cursor: string) => boolean): Promise<string> {
  const origin = await openSmallApi(t, (url, response) => {
    const query = url.searchParams;
    const [since, until] = ['since', 'until'].map((bound) => query.get(bound));
    const cursor = query.get('cursor');
    const isIn = (at: number | null): boolean => {
      if (since === null && until === null) return true;
      return at !== null && at >= Number(since ?? -Infinity) && at <= Number(until ?? Infinity);
    };
    const listed = RECORDS.filter(({ at }) => isIn(at));
    const from = Number(cursor ?? 0);
    const end = from + Number(query.get('size'));
    const page = { data: listed.slice(from, end), next: end < listed.length ? String(end) : null };
    response.end(cursor !== null && isStale(cursor) ? STALE : JSON.stringify(page));
  });
  return origin;
}

void test('a cursor dies among records without a time: all of them come', async (t) => {
  let dead = 0;
  const origin = await openApi(t, (cursor) => Number(cursor) > RECORDS.length - TIMELESS && (dead += 1) === 1);
  const description = `
name: timeless
url: ${origin}/list
records: [data]
id: [id]
size: { param: size, max: 10 }
next: { token: { path: [next], param: cursor } }
order: newest-first
time: { path: [at], since: since, until: until, format: s, granularity: 1s }
errors: { path: [error], stale: [stale_cursor] }
columns: { id: { path: [id], type: bigint } }
`;
  const scene = await DescribedScene.of(t, { origin, records: [] }, description);
  const end = await scene.ingest(['--concurrency', '1']);
  assertCode(end, 0);
  const { rows } = await scene.database.query<{ id: string }>('SELECT id FROM timeless ORDER BY id');
  assert.deepEqual(
    rows.map(({ id }) => Number(id)),
    RECORDS.map(({ id }) => id),
  );
  assert.ok(dead > 1);
});
