import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCluster } from '../support/database.ts';
import { GrowingList } from '../support/follow/growing-list.ts';
import { passWeek } from '../support/follow/week.ts';

void test('a day: every event is there at the look after its appearance, at the requests of the looks and the pages', async (t) => {
  const cluster = await testCluster(t);
  const list = await GrowingList.open(t, { maxRequests: 100_000 }, cluster);
  list.grow(2_000);
  const faults = { stops: 4, cuts: 4, outages: 1, crashes: 1 };
  const result = await passWeek(list, { days: 1, ...faults, crash: () => cluster.restart('immediate') });
  t.diagnostic(JSON.stringify(result));
  assert.equal(await list.missing(), 0);
  assert.equal(result.late, 0);
  assert.ok(result.requests <= result.allowedRequests, JSON.stringify(result));
});
