/** Staging → ingested_events, ledger → ingestion.state, in one transaction. */
import type { PoolClient } from 'pg';
import type { Logger } from '../core/logging.ts';
import { EVENT_COLUMNS } from '../encode/event-columns.ts';
import { columnList, quoteIdentifier } from './identifiers.ts';
import { exactlyOnce } from './outcome.ts';
import { checkEpoch, checkGeneration, type Ownership } from './owner.ts';
import type { Database } from './postgres.ts';
import { TARGET } from './schema/ingested-events.ts';
import { stagingNames, type StagingTable } from './staging.ts';

export interface MergeResult {
  readonly pages: number;
  readonly served: number;
  readonly loaded: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly repaired: number;
  readonly doubledInChain: number;
  readonly seconds: number;
  readonly firstLoad: boolean;
}

export interface MergerOptions {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  readonly onConflict: 'ignore' | 'update';
  readonly logger: Logger;
}

export class Merger {
  readonly #options: MergerOptions;

  constructor(options: MergerOptions) {
    this.#options = options;
  }

  async merge(table: StagingTable, expectedPages: number | null): Promise<MergeResult> {
    const { db } = this.#options;
    const startedMs = performance.now();
    const result = await exactlyOnce(db, 'merge', (client) => this.#inTransaction(client, table, expectedPages));
    return { ...result, seconds: (performance.now() - startedMs) / 1000 };
  }

  async #inTransaction(client: PoolClient, table: StagingTable, expectedPages: number | null) {
    const { ownership, runId, onConflict } = this.#options;
    const names = stagingNames(table);
    await client.query(`LOCK TABLE ${names.rows}, ${names.ledger}, ${names.anomalies} IN ACCESS EXCLUSIVE MODE`);
    await checkGeneration(client, ownership);
    await checkEpoch(client, ownership);
    const { rows: ledger } = await client.query<Record<string, number | string | boolean | null>>(
      `SELECT * FROM ${names.ledger} WHERE run_id = $1 ORDER BY window_id, page`,
      [runId],
    );
    if (expectedPages !== null && ledger.length !== expectedPages) {
      throw new Error(`the ledger has ${ledger.length} pages, ${expectedPages} were acknowledged`);
    }
    await client.query(`ANALYZE ${names.rows}`);
    const columns = EVENT_COLUMNS.map((column) => column.name).filter((name) => name !== 'ingested_at');
    const list = columnList(columns);
    const others = columns.filter((name) => name !== 'id').map(quoteIdentifier);
    const order =
      onConflict === 'ignore' ? 'id, source_order' : 'id, occurred_at DESC NULLS LAST, source_order DESC';
    const action =
      onConflict === 'ignore'
        ? 'DO NOTHING'
        : `DO UPDATE SET ${others.map((c) => `${c} = excluded.${c}`).join(', ')}, ingested_at = now()
           WHERE (t.occurred_at IS NULL OR excluded.occurred_at >= t.occurred_at)
             AND (${others.map((c) => `t.${c}`).join(', ')}) IS DISTINCT FROM (${others.map((c) => `excluded.${c}`).join(', ')})`;
    const { rows: moved } = await client.query<{ inserted: string; updated: string }>(
      `WITH moved AS (
         INSERT INTO ${TARGET} AS t (${list})
         SELECT DISTINCT ON (id) ${list} FROM ${names.rows} ORDER BY ${order}
         ON CONFLICT (id) ${action} RETURNING (xmax = 0) AS is_new)
       SELECT count(*) FILTER (WHERE is_new) AS inserted, count(*) FILTER (WHERE NOT is_new) AS updated FROM moved`,
    );
    const inserted = Number(moved[0]?.inserted ?? 0);
    const updated = Number(moved[0]?.updated ?? 0);
    const sum = (name: string): number => ledger.reduce((total, row) => total + Number(row[name]), 0);
    const loaded = sum('loaded');
    const result = {
      pages: ledger.length,
      served: sum('served'),
      loaded,
      inserted,
      updated,
      duplicates: loaded - inserted - updated,
      rejected: sum('rejected'),
      repaired: sum('repaired'),
      doubledInChain: 0,
      firstLoad: false,
    };
    await client.query(
      `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
       SELECT run_id, window_id, page, position, event_id, kind, field, reason, original FROM ${names.anomalies}
       ON CONFLICT DO NOTHING`,
    );
    await client.query(
      `UPDATE ingestion.run SET pages = pages + $2, served = served + $3, loaded = loaded + $4, inserted = inserted + $5,
         updated = updated + $6, duplicates = duplicates + $7, rejected = rejected + $8, repaired = repaired + $9,
         last_merge_at = now() WHERE run_id = $1`,
      [runId, result.pages, result.served, loaded, inserted, updated, result.duplicates, result.rejected, result.repaired],
    );
    const { rows: windows } = await client.query<{ window_id: number; safe_pages: number }>(
      'SELECT window_id, safe_pages FROM ingestion.state WHERE run_id = $1 ORDER BY window_id FOR UPDATE',
      [runId],
    );
    for (const window of windows) {
      let safe = window.safe_pages;
      let last: Record<string, number | string | boolean | null> | null = null;
      for (const row of ledger) {
        if (row['window_id'] === window.window_id && row['page'] === safe + 1) {
          safe += 1;
          last = row;
        }
      }
      if (last === null) continue;
      await client.query(
        `UPDATE ingestion.state SET safe_pages = $3, cursor = $4, cursor_received_at_ms = $5, anchor_ms = $6,
           last_event_ms = $7, last_event_id = $8, complete = $9, suspect = suspect OR $10
         WHERE run_id = $1 AND window_id = $2`,
        [
          runId,
          window.window_id,
          safe,
          last['next_cursor'],
          last['cursor_received_at_ms'],
          last['anchor_ms'],
          last['last_event_ms'],
          last['last_event_id'],
          last['ends_window'],
          last['suspect'],
        ],
      );
    }
    await client.query(`TRUNCATE ${names.rows}, ${names.ledger}, ${names.anomalies}`);
    return result;
  }
}

/** Statistics for whoever queries the target. */
export async function analyzeTarget(db: Database): Promise<void> {
  await db.query(`ANALYZE ${TARGET}`);
}
