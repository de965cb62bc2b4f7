/** Ledger rows: one a copied page, committed with its rows, and only while the generation and the epoch are ours. */
import type { PoolClient } from 'pg';
import type { PagePlace } from '../../core/page-place.ts';
import type { LedgerEntry } from '../../core/state.ts';
import type { Database } from '../postgres/database.ts';
import { stagingNames, type StagingTable } from '../schema/staging.ts';
import { failAtFence, type Ownership } from '../state/owner.ts';

/** What became of a page's events. */
export interface LoadedRows {
  readonly loaded: number;
  readonly rejected: number;
}

/** A staging table, and which of its name it must still be: see staged-types.ts. */
interface CopiedInto {
  readonly table: StagingTable;
  /** `null`: nothing was copied, so it does not matter. */
  readonly tableOid: number | null;
}

const UNSTORABLE = /\0|\p{Surrogate}/u;

/**
 * The fence of every COPY: selects the row from `owner` where the generation is ours, FOR SHARE, and from the unlogged
 * epoch, as long as the staging table is the one that the page's types were compared with.
 * @throws TargetBusyError, StagingLostError when there was nothing to select.
 */
export async function insertLedgerRow(
  client: PoolClient,
  { table, tableOid }: CopiedInto,
  runId: number,
  entry: LedgerEntry,
  ownership: Ownership,
): Promise<void> {
  const { counts, edge } = entry;
  const { rowCount } = await client.query({
    // Named, so that the server parses it once a connection and not once a page; after the generation, because a pooler may
    // hand on a session that another start has used.
    name: `ledger ${table} ${ownership.generation}`,
    text: `INSERT INTO ${stagingNames(table).ledger}
       (run_id, window_id, page, generation, next_cursor, cursor_from, cursor_received_at_ms, anchor_ms, last_event_ms, oldest_ms,
        ends_window, doubtful, suspect, continued, served, loaded, rejected, repaired,
        edge_ms, edge_keys, page_end_ms, places, top_places, recent_places, unsure, repeated, cursor_limit)
     SELECT $1::bigint, $2::int, $3::int, o.generation, $4::text, $5::text, $6::float8, $7::float8, $8::float8, $9::float8,
            $10::bool, $11::bool, $12::bool, $13::bool, $14::int, $15::int, $16::int, $17::int,
            $18::float8, $19::text[], $20::float8, $21::int, $22::int, $23::int, $24::int, $25::int, $26::int
       FROM ingestion.owner o
      WHERE o.generation = $27 AND EXISTS (SELECT FROM ingestion.staging_epoch WHERE epoch = $28)
        AND ($29::oid IS NULL OR $29 = to_regclass('${stagingNames(table).rows}'))
        FOR SHARE OF o`,
    values: [
      runId,
      entry.windowId,
      entry.page,
      // The cursor is only a shortcut: one that a text column cannot hold byte for byte is not remembered.
      UNSTORABLE.test(entry.nextCursor ?? '') ? null : entry.nextCursor,
      entry.cursorFrom,
      entry.cursorReceivedAtMs,
      entry.anchorMs,
      entry.lastEventMs,
      entry.oldestMs,
      entry.endsWindow,
      entry.isDoubtful,
      entry.suspect,
      entry.isContinued,
      entry.served,
      entry.loaded,
      entry.rejected,
      entry.repaired,
      edge?.atMs ?? null,
      edge?.keys ?? null,
      entry.pageEndMs,
      counts.places,
      counts.topPlaces,
      counts.recentPlaces,
      counts.unsure,
      counts.repeated,
      entry.cursorLimit,
      ownership.generation,
      ownership.epoch,
      tableOid,
    ],
  });
  if (rowCount !== 1) await failAtFence(client, ownership);
}

/** What became of a page that this generation has copied already; `null` when it is not in staging. */
export async function findLedgerRow(
  db: Database,
  table: StagingTable,
  runId: number,
  { windowId, page }: PagePlace,
  ownership: Ownership,
): Promise<LoadedRows | null> {
  const { rows } = await db.query<LoadedRows>(
    `SELECT loaded, rejected FROM ${stagingNames(table).ledger}
      WHERE run_id = $1 AND window_id = $2 AND page = $3 AND generation = $4
        AND EXISTS (SELECT FROM ingestion.staging_epoch WHERE epoch = $5)`,
    [runId, windowId, page, ownership.generation, ownership.epoch],
  );
  return rows[0] ?? null;
}
