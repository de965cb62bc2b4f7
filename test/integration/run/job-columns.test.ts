/** The events of the simulator as a source of its own describes them: with other columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ColumnPlan } from '../../../src/core/column-plan.ts';
import { testDatabase } from '../../support/database.ts';
import { assertComplete, ingest } from '../../support/ingestion.ts';
import { simulatorFor } from '../../support/simulator-client.ts';

const CLICKS: ColumnPlan = {
  envelope: 'read',
  records: [{ path: ['data'], rank: 1 }],
  id: { name: 'id', type: { decidedBy: 'id' }, path: ['id'] },
  columns: [
    { name: 'device', type: 'text', path: ['session', 'deviceType'] },
    { name: 'at', type: 'timestamptz', path: ['timestamp'] },
  ],
  time: 'at',
  version: null,
};

const EVENTS = 2_500;

void test('a job loads a source by its plan, in its workers and into its table, and goes on by its times', async (t) => {
  const simulator = await simulatorFor(t, { events: EVENTS, seed: 3 });
  const database = await testDatabase(t);
  const target = { baseUrl: simulator.baseUrl, databaseUrl: database.url, plan: CLICKS };
  const first = await ingest(target, { SOURCE_NAME: 'clicks' });
  assertComplete(first);
  assert.equal(first.report?.counts.inserted, EVENTS);
  assertComplete(await ingest(target, { SOURCE_NAME: 'clicks' }));
  const { rows } = await database.query(
    `SELECT count(*)::int AS rows, count(device)::int AS devices, count(at)::int AS times, count(extra ->> 'userId')::int AS users,
            bool_and(pg_typeof(id) = 'uuid'::regtype) AS "areUuids", bool_or(extra ? 'id' OR extra -> 'session' ? 'deviceType') AS "isTwice"
       FROM public.clicks`,
  );
  const all = { rows: EVENTS, devices: EVENTS, times: EVENTS, users: EVENTS };
  assert.deepEqual(rows, [{ ...all, areUuids: true, isTwice: false }]);
  assert.equal(await database.number('SELECT count(*) FROM ingestion.run'), 2);
});
