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
  const { source, generation, epoch } = ownership;
  const { rows, ledger } = stagingNames(source, table);
  const { rowCount } = await client.query({
    // Named, so that the server parses it once a connection and not once a page; after the generation, because a pooler may
    // hand on a session that another start has used.
    name: `ledger ${source.sourceId} ${table} ${generation}`,
    text: `INSERT INTO ${ledger}
     SELECT entry.* FROM ingestion.owner o, jsonb_populate_record(NULL::${ledger}, $1) AS entry
      WHERE o.source_id = $4 AND o.generation = entry.generation
        AND EXISTS (SELECT FROM ingestion.staging_epoch e WHERE e.source_id = o.source_id AND e.epoch = $2)
        AND ($3::oid IS NULL OR $3 = to_regclass('${rows}'))
        FOR SHARE OF o`,
    values: [JSON.stringify(rowOf(runId, entry, ownership)), epoch, tableOid, source.sourceId],
  });
  if (rowCount !== 1) await failAtFence(client, ownership);
}

/** By the names of the ledger's columns. */
function rowOf(runId: number, entry: LedgerEntry, { generation }: Ownership): Readonly<Record<string, unknown>> {
  const { counts, edge, nextCursor } = entry;
  return {
    run_id: runId,
    window_id: entry.windowId,
    page: entry.page,
    generation,
    // The cursor is only a shortcut: one that a text column cannot hold byte for byte is not remembered.
    next_cursor: UNSTORABLE.test(nextCursor ?? '') ? null : nextCursor,
    cursor_from: entry.cursorFrom,
    cursor_limit: entry.cursorLimit,
    cursor_received_at_ms: entry.cursorReceivedAtMs,
    anchor_ms: entry.anchorMs,
    last_event_ms: entry.lastEventMs,
    oldest_ms: entry.oldestMs,
    ends_window: entry.endsWindow,
    doubtful: entry.isDoubtful,
    suspect: entry.suspect,
    continued: entry.isContinued,
    served: entry.served,
    loaded: entry.loaded,
    rejected: entry.rejected,
    repaired: entry.repaired,
    page_end_ms: entry.pageEndMs,
    edge_ms: edge?.atMs ?? null,
    edge_keys: edge?.keys ?? null,
    places: counts.places,
    top_places: counts.topPlaces,
    recent_places: counts.recentPlaces,
    unsure: counts.unsure,
    repeated: counts.repeated,
  };
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
    `SELECT loaded, rejected FROM ${stagingNames(ownership.source, table).ledger}
      WHERE run_id = $1 AND window_id = $2 AND page = $3 AND generation = $4
        AND EXISTS (SELECT FROM ingestion.staging_epoch WHERE epoch = $5)`,
    [runId, windowId, page, ownership.generation, ownership.epoch],
  );
  return rows[0] ?? null;
}
