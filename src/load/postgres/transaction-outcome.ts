/**
 * A transaction whose COMMIT was never answered may have happened. Therefore merges and changes of the state note their
 * outcome in `ingestion.outcome`, and a second try looks there first. (A COPY is known by its row in the ledger.)
 */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Database } from './database.ts';

/** The process that noted an outcome asks for it moments later, or never. */
const KEEP_OUTCOMES = '1 day';

/**
 * Does `work` in one transaction, exactly once, waiting out an outage. `work` must not hold anything outside the
 * transaction, and its result must survive JSON.
 * @throws GaveUpError when the database stays away; whatever `work` throws.
 */
export async function exactlyOnce<T>(
  db: Database,
  purpose: string,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const outcomeId = randomUUID();
  let tries = 0;
  return db.persistently(purpose, async () => {
    tries += 1;
    if (tries > 1) {
      const earlier = await db.query<{ result: T }>('SELECT result FROM ingestion.outcome WHERE outcome_id = $1', [
        outcomeId,
      ]);
      if (earlier.rows[0] !== undefined) return earlier.rows[0].result;
    }
    return db.transaction(purpose, async (client) => {
      const result = await work(client);
      await client.query('INSERT INTO ingestion.outcome (outcome_id, result) VALUES ($1, $2)', [
        outcomeId,
        JSON.stringify(result ?? null),
      ]);
      // What a job of another source is just deleting is not waited for: that one may be asleep.
      await client.query(
        `DELETE FROM ingestion.outcome WHERE outcome_id IN (SELECT outcome_id FROM ingestion.outcome
          WHERE noted_at < now() - interval '${KEEP_OUTCOMES}' FOR UPDATE SKIP LOCKED)`,
      );
      return result;
    });
  });
}
