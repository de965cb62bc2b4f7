/** The week of which test/follow/day.test.ts is a day: ten minutes, of its own command. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCluster } from '../support/database.ts';
import { GrowingList } from '../support/follow/growing-list.ts';
import { passWeek } from '../support/follow/week.ts';

void test('a week: every event is there at the look after its appearance, at the requests of the looks and the pages', async (t) => {
  // As a server does: statistics and dead rows are looked after while a day passes.
  const cluster = await testCluster(t, { settings: { autovacuum_naptime: '1s' } });
  const list = await GrowingList.open(t, { maxRequests: 100_000 }, cluster);
  list.grow(2_000);
  const faults = { stops: 25, cuts: 25, outages: 5, crashes: 5 };
  const result = await passWeek(list, { days: 7, ...faults, crash: () => cluster.restart('immediate') });
  t.diagnostic(JSON.stringify(result));
  assert.equal(await list.missing(), 0);
  assert.equal(result.late, 0);
  assert.ok(result.requests <= result.allowedRequests, JSON.stringify(result));
  assert.ok(result.keptAtEnd <= 1.05 * result.keptAfterHour, JSON.stringify(result));
  // Every round that took something has a run, and others have none; none is folded, because the server's own clock has not moved.
  assert.ok((await list.runs()).length < 1.2 * result.growths, JSON.stringify(result));
});
