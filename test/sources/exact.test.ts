/** 20,000 records of each shipped source, with faults of every kind on the way: each of them once, value by value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCode, DescribedScene } from '../support/described-scene.ts';
import { Draws, type Fault } from '../support/vendors/vendor.ts';
import { SHIPPED } from '../support/vendors/shipped.ts';

const RECORDS = 20_000;
/** A query of Notion ends here, as if it were complete. */
const NOTION_CAP = 10_000;
const FAULTS: readonly Fault[] = ['reset', 'error-500', 'html-502', 'truncated', 'refused'];

/** One request in forty goes wrong. */
function someFaults(seed: number, faults = FAULTS): (request: number) => Fault | undefined {
  const draws = new Draws(seed);
  return () => (draws.chance(1 / 40) ? draws.pick(faults) : undefined);
}

for (const { name } of SHIPPED) {
  const count = name === 'notion-pages' ? NOTION_CAP - 1 : RECORDS;
  void test(`${name}: ${count} records, value by value`, async (t) => {
    const scene = await DescribedScene.open(t, name, { count, fault: someFaults(7) });
    await scene.ingestAll();
  });
}

for (const name of ['slack-channel', 'notion-pages']) {
  void test(`${name}: cursors that die on the way`, async (t) => {
    const scene = await DescribedScene.open(t, name, { count: 3_000, fault: someFaults(11, ['stale-cursor']) });
    await scene.ingestAll(['--page-size', '100']);
  });
}

void test('github-issues: 1,000 issues of one second', async (t) => {
  const options = { count: 5_000, ofOneSecond: 1_000 };
  const scene = await DescribedScene.open(t, 'github-issues', options);
  await scene.ingestAll();
});

void test('a query that is cut goes on by time, where it can be asked by time', async (t) => {
  const rewrite = (text: string): string => text.replace('reach: 30d', 'reach: 30d\n  cap: 700');
  const scene = await DescribedScene.open(t, 'stripe-events', { count: 5_000, cap: 700, rewrite });
  await scene.ingestAll(['--concurrency', '1']);
  assert.ok(scene.stub.requests > 50);
});

void test('notion-pages: a query that is cut at 10,000 pages ends with 5, however often it is started', async (t) => {
  const scene = await DescribedScene.open(t, 'notion-pages', { count: NOTION_CAP + 2_000 });
  for (const flags of [[], [], ['--full']]) {
    const end = await scene.ingest(flags);
    assertCode(end, 5);
    assert.match(end.reason, /10000 records/);
    assert.equal(await scene.database.number('SELECT count(*) FROM notion_pages'), NOTION_CAP);
  }
});
