/** Somebody who reads the target while a job loads it, and how long they wait. */
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';

const READ_EVERY_MS = 100;
const THERE = `SELECT to_regclass('ingested_events') IS NOT NULL AS there`;

export class WaitingReader {
  /** So far. */
  longestMs = 0;

  /** Reads one row again and again, until `over`. */
  async read(databaseUrl: string, over: AbortSignal): Promise<void> {
    const client = new pg.Client({ connectionString: databaseUrl, application_name: 'bench reader' });
    await client.connect();
    try {
      while (!over.aborted) {
        const { rows } = await client.query<{ there: boolean }>(THERE);
        if (rows[0]?.there === true) await this.#readOnce(client);
        await setTimeout(READ_EVERY_MS, undefined, { signal: over }).catch(() => undefined);
      }
    } finally {
      await client.end();
    }
  }

  async #readOnce(client: pg.Client): Promise<void> {
    const beganMs = performance.now();
    await client.query('SELECT FROM ingested_events LIMIT 1');
    this.longestMs = Math.max(this.longestMs, performance.now() - beganMs);
  }
}
