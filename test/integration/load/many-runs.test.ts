/** What a job that follows does in each round costs the same after a year: it reads no table through. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRun } from '../../../src/load/state/complete-run.ts';
import { readFoundEvents } from '../../../src/load/state/found-events.ts';
import { readBaseRun, readCurrentRun } from '../../../src/load/state/run-reader.ts';
import { SOURCE, TEXT_IDS, UUID_IDS, startLoading } from './setup.ts';

const MANY = 20_000;
/** Rows that the steps of a round may read, of all tables together. */
const FEW = 200;
const UUID_OF = (n: string): string => `md5('event ' || ${n})::uuid`;
const PROOF = { kind: 'api-end', places: 0, expected: null, sentence: '' } as const;
const READ_SQL = `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int AS read FROM pg_stat_xact_all_tables WHERE schemaname IN ('ingestion', 'public')`;

for (const types of [TEXT_IDS, UUID_IDS]) {
  test(`a round behind many runs, rows and anomalies reads few of them (ids: ${String(types['id'])})`, async (t) => {
    const { db, database, ownership } = await startLoading(t, { types });
    const { source } = ownership;
    await database.query(
      `INSERT INTO ingestion.run (source_id, source, status, begun_by, proof)
       SELECT 1, '${SOURCE.source}', 'complete', 'new-events', '{"kind":"api-end"}' FROM generate_series(1, ${MANY})`,
    );
    await database.query(`INSERT INTO ingested_events (id) SELECT ${UUID_OF('n')} FROM generate_series(1, ${MANY}) n`);
    await database.query(
      `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, kind, field, reason, original)
       SELECT run_id, 1, 1, 0, 'rejected', 'id', 'missing', convert_to('event ' || run_id, 'UTF8') FROM ingestion.run`,
    );
    // Of the three, one has a row, one has come before, and one is new.
    await database.query(
      `WITH made AS (INSERT INTO ingestion.run (source_id, source, status, begun_by, rejected)
         VALUES (1, '${SOURCE.source}', 'complete', 'new-events', 3) RETURNING run_id)
       INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
       SELECT run_id, 1, 1, 0, event_id, 'rejected', 'id', 'bad', convert_to(bytes, 'UTF8')
         FROM made, (VALUES (${UUID_OF('7')}::text, 'has a row'), ('no id', 'event 9'), (NULL, 'new')) AS e (event_id, bytes)`,
    );
    await database.query('ANALYZE');
    const runId = await database.number('SELECT max(run_id) FROM ingestion.run');
    await db.transaction('test', async (client) => {
      assert.deepEqual(await readFoundEvents(client, source, runId), { fresh: 1, different: 2, cameAgain: true });
      await completeRun(client, source, runId, { proof: PROOF, emptyRound: 'new-events' });
      await readCurrentRun(client, source);
      assert.equal((await readBaseRun(client, source, SOURCE.source, 'new-events'))?.runId, runId);
      const { rows } = await client.query<{ read: number }>(READ_SQL);
      assert.ok((rows[0]?.read ?? Infinity) < FEW, `${rows[0]?.read} rows were read`);
    });
  });
}
