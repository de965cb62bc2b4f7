/** Pages that must begin with the record that they are asked for from, when the API has that no more. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DescribedScene, assertCode, type DescribedEnd } from '../../support/described-scene.ts';
import { openSmallApi } from '../../support/small-api.ts';

const COUNT = 12;
const SIZE = 4;

interface Api {
  readonly origin: string;
  readonly ids: number[];
}

/**
 * @param unknown what an answer to a record has that is not there
 * @param vanishes whether the last record of the first page vanishes before the second is asked for
 */
async function open(
  t: TestContext,
  {
    unknown,
    vanishes,
    isInclusive = true,
  }: { unknown: 'nothing' | 'the top'; vanishes: boolean; isInclusive?: boolean },
): Promise<Api> {
  const ids = Array.from({ length: COUNT }, (_, at) => at + 1);
  let isFirst = true;
  const origin = await openSmallApi(t, (url, response) => {
    const from = url.searchParams.get('from');
    const at = from === null ? 0 : ids.indexOf(Number(from));
    const begin = at === -1 ? (unknown === 'nothing' ? ids.length : 0) : at + (from !== null && !isInclusive ? 1 : 0);
    const page = ids.slice(begin, begin + SIZE);
    if (isFirst && vanishes) ids.splice(ids.indexOf(page.at(-1) ?? 0), 1);
    isFirst = false;
    response.end(JSON.stringify({ data: page.map((id) => ({ id })) }));
  });
  return { origin, ids };
}

async function ingest(t: TestContext, api: Api): Promise<DescribedEnd & { readonly loaded: number[] }> {
  const description = `
name: vanishing
url: ${api.origin}/list
records: [data]
next: { lastRecord: { path: [id], param: from, inclusive: true } }
size: { param: size, max: ${SIZE} }
id: [id]
columns: { id: { path: [id], type: bigint } }
`;
  const scene = await DescribedScene.of(t, { origin: api.origin, records: [] }, description);
  const end = await scene.ingest(['--max-wait', '3']);
  const { rows } = await scene.database.query<{ id: string }>('SELECT id FROM vanishing ORDER BY id');
  return { ...end, loaded: rows.map(({ id }) => Number(id)) };
}

for (const unknown of ['nothing', 'the top'] as const) {
  test(`a record that vanishes after its page, where the answer to it is ${unknown}: everything is loaded`, async (t) => {
    const api = await open(t, { unknown, vanishes: true });
    const end = await ingest(t, api);
    assertCode(end, 0);
    assert.deepEqual(
      end.loaded.filter((id) => api.ids.includes(id)),
      api.ids,
    );
  });
}

test('pages that never begin with the record that was named are no list of this description: no code 0', async (t) => {
  const { code, log } = await ingest(t, await open(t, { unknown: 'nothing', vanishes: false, isInclusive: false }));
  assert.equal(code, 4);
  assert.match(log.join('\n'), /walking from the top: a page does not begin with the record/);
});
