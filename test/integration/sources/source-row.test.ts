/** What the job's own schema knows of a described source, and what does not go with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCode, DescribedScene } from '../../support/described-scene.ts';

void test('the row of a source holds its description, and no key; another limit is no other data set', async (t) => {
  const scene = await DescribedScene.open(t, 'zendesk-tickets', { count: 20 });
  const rowOf = async () => {
    const { rows } = await scene.database.query<{
      description: { limits?: object; auth: object };
      sha256: string;
      flag: boolean;
    }>("SELECT description, sha256, has_flag AS flag FROM ingestion.source WHERE name = 'zendesk-tickets'");
    return rows[0];
  };
  await scene.ingestAll();
  await scene.database.query('UPDATE ingestion.source SET has_flag = true');
  const first = await rowOf();
  assert.deepEqual(first?.description.auth, {
    kind: 'basic',
    user: '${ZENDESK_EMAIL}/token',
    password: '${ZENDESK_TOKEN}',
  });
  assert.deepEqual([first.description.limits, first.flag], [undefined, true]);
  const slower = DescribedScene.beside(scene, (text) => `${text}\nlimits: { perSecond: 50 }\n`);
  assertCode(await slower.ingest(), 0);
  assert.deepEqual({ ...first, description: { ...first.description, limits: { perSecond: 50 } } }, await rowOf());

  const other = DescribedScene.beside(scene, (text) => text.replace('start_time: 0', 'start_time: 1'));
  const refused = await other.ingest();
  assertCode(refused, 2);
  assert.match(refused.reason, /another source: the description, with what its variables stand for, was http/);
  assert.doesNotMatch(refused.reason, /API_BASE_URL/);
  const asked = scene.stub.requests;
  const typed = await scene.ingest(['--id-type', 'text']);
  assertCode(typed, 2);
  assert.match(typed.reason, /--id-type text .* columns.id of its description/);
  assert.equal(scene.stub.requests, asked);
});
