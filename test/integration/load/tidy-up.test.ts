/** A job that lives long leaves one row a day behind, and no anomaly is lost with the runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRun } from '../../../src/load/state/complete-run.ts';
import { tidyUp } from '../../../src/load/state/tidy-up.ts';
import { startLoading } from './setup.ts';

const DAY_MS = 86_400_000;

test('runs older than a month become one row a day, with their counts and anomalies; newer ones and the base stay', async (t) => {
  const { db, database, ownership } = await startLoading(t);
  await database.query(
    `INSERT INTO ingestion.run (source_id, source, status, begun_by, finished_at, inserted, served, proof)
     SELECT 1, 'a', 'complete', CASE WHEN n % 10 = 5 THEN NULL ELSE 'new-events' END, now() - interval '40 days' + n * interval '6 hours',
            n, n, '{"kind":"count"}' FROM generate_series(1, 60) n`,
  );
  await database.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, kind, field, reason, original)
     SELECT run_id, 1, 1, 0, 'rejected', 'id', 'missing', convert_to(kind, 'UTF8')
       FROM ingestion.run, unnest(ARRAY['the same', 'of run ' || run_id]) AS kind WHERE begun_by IS NOT NULL AND source = 'a'`,
  );
  const sums = (): Promise<number> => database.number(`SELECT sum(inserted) FROM ingestion.run WHERE source = 'a'`);
  const different = 'SELECT count(DISTINCT original) FROM ingestion.anomaly';
  const before = { inserted: await sums(), different: await database.number(different) };
  const { runs } = await tidyUp(db, ownership, null);
  assert.ok(runs > 20, `${runs} runs`);
  assert.deepEqual({ inserted: await sums(), different: await database.number(different) }, before);
  const most = `SELECT max(n) FROM (SELECT count(*) AS n FROM ingestion.run
                 WHERE finished_at < now() - interval '31 days' GROUP BY (finished_at AT TIME ZONE 'UTC')::date) AS days`;
  assert.equal(await database.number(most), 1);
  assert.deepEqual(await tidyUp(db, ownership, null), { runs: 0, anomalies: 0 });
  const { anomalies } = await tidyUp(db, ownership, 32 * DAY_MS);
  assert.ok(anomalies > 0);
  const left = `SELECT count(*) FROM ingestion.anomaly JOIN ingestion.run USING (run_id) WHERE finished_at < now() - interval '32 days'`;
  assert.equal(await database.number(left), 0);
  assert.ok((await database.number('SELECT count(*) FROM ingestion.anomaly')) > 0);
});

test('a round that took nothing goes with what it met again, and stays where it alone has the bytes of an event', async (t) => {
  const { db, database, ownership } = await startLoading(t);
  const proof = { kind: 'api-end', places: 0, expected: null, sentence: '' } as const;
  const left: number[] = [];
  for (const events of [['known'], ['known'], ['known', 'new']]) {
    const values = "VALUES (1, 'a', 'complete', 'new-events')";
    await database.query(`INSERT INTO ingestion.run (source_id, source, status, begun_by) ${values}`);
    const runId = await database.number('SELECT max(run_id) FROM ingestion.run');
    await database.query(
      `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, kind, field, reason, original)
       SELECT $1, 1, 1, 0, 'rejected', 'id', 'missing', convert_to(event, 'UTF8') FROM unnest($2::text[]) AS event`,
      [runId, events],
    );
    const emptyRound = left.length === 0 ? null : 'new-events';
    await db.transaction('test', (client) => completeRun(client, ownership.source, runId, { proof, emptyRound }));
    left.push(await database.number(`SELECT count(*) FROM ingestion.run WHERE source = 'a'`));
  }
  assert.deepEqual(left, [1, 1, 2]);
});
