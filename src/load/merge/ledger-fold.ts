/** The ledger of a staging table: its sums, and its folding into `ingestion.state` and `ingestion.run`. */
import type { PoolClient } from 'pg';
import type { RunCounts } from '../../core/state.ts';
import type { StagingNames } from '../schema/staging.ts';
import { PAGE_OF, WINDOW_OF } from './merge-sql.ts';

export interface LedgerSums extends Pick<RunCounts, 'pages' | 'served' | 'loaded' | 'rejected' | 'repaired'> {
  /** Of the newest run among the pages; `null` when there are none. */
  readonly runId: number | null;
}

/** What a merge adds to the counts of its run, beyond the sums of its ledger. */
export interface MergeCounts extends Pick<RunCounts, 'inserted' | 'updated' | 'duplicates' | 'servedTwiceInChain'> {
  readonly refused: number;
}

export async function sumLedger(client: PoolClient, names: StagingNames): Promise<LedgerSums> {
  const { rows } = await client.query<LedgerSums>(
    `SELECT count(*)::int AS pages, coalesce(sum(served), 0)::int AS served, coalesce(sum(loaded), 0)::int AS loaded,
            coalesce(sum(rejected), 0)::int AS rejected, coalesce(sum(repaired), 0)::int AS repaired,
            max(run_id)::float8 AS "runId"
       FROM ${names.ledger}`,
  );
  const [sums] = rows;
  if (sums === undefined) throw new Error('the sums of the ledger came back without a row');
  return sums;
}

/** A relation: the ledger rows that continue their window's safe pages without a gap, and what the window's state was. */
function newlySafePages(names: StagingNames): string {
  return `(SELECT * FROM (
       SELECT l.*, w.safe_pages, w.suspect AS was_suspect,
              l.page - w.safe_pages - row_number() OVER (PARTITION BY l.run_id, l.window_id ORDER BY l.page) AS missing
         FROM ${names.ledger} l JOIN ingestion.state w USING (run_id, window_id)
        WHERE l.page > w.safe_pages
     ) numbered WHERE missing = 0)`;
}

/**
 * Moves each window's safe position to the end of the longest row of pages without a gap. Where the last safe page has no
 * anchor or no last event, those of an earlier page stay. Pages whose window was replaced by one with a new number count,
 * but change no position.
 */
export async function foldLedger(client: PoolClient, names: StagingNames): Promise<void> {
  const last = (column: string): string => `(array_agg(${column} ORDER BY page DESC))[1] AS ${column}`;
  const lastKnown = (column: string): string =>
    `(array_agg(${column} ORDER BY page DESC) FILTER (WHERE ${column} IS NOT NULL))[1] AS ${column}`;
  await client.query(
    `WITH folded AS (
       SELECT run_id, window_id, max(page) AS safe_pages, ${last('next_cursor')}, ${last('cursor_received_at_ms')},
              ${lastKnown('anchor_ms')}, ${lastKnown('last_event_ms')}, ${lastKnown('last_event_id')},
              bool_or(ends_window) AS ends_window, bool_or(suspect) AS suspect
         FROM ${newlySafePages(names)} pages GROUP BY run_id, window_id
     )
     UPDATE ingestion.state w
        SET safe_pages = f.safe_pages, cursor = f.next_cursor, cursor_received_at_ms = f.cursor_received_at_ms,
            anchor_ms = coalesce(f.anchor_ms, w.anchor_ms), last_event_ms = coalesce(f.last_event_ms, w.last_event_ms),
            last_event_id = coalesce(f.last_event_id, w.last_event_id),
            complete = w.complete OR f.ends_window, suspect = w.suspect OR f.suspect
       FROM folded f WHERE w.run_id = f.run_id AND w.window_id = f.window_id`,
  );
}

/** Adds the ledger to the counts of each of its runs, and the merge to those of the newest. */
export async function addToCounts(client: PoolClient, names: StagingNames, counts: MergeCounts): Promise<void> {
  await client.query(
    `WITH sums AS (
       SELECT run_id, count(*) AS pages, sum(served) AS served, sum(loaded) AS loaded, sum(rejected) AS rejected,
              sum(repaired) AS repaired, run_id = max(run_id) OVER () AS newest
         FROM ${names.ledger} GROUP BY run_id
     )
     UPDATE ingestion.run r
        SET pages = r.pages + s.pages, served = r.served + s.served, repaired = r.repaired + s.repaired,
            loaded = r.loaded + s.loaded - CASE WHEN s.newest THEN $4::int ELSE 0 END,
            rejected = r.rejected + s.rejected + CASE WHEN s.newest THEN $4::int ELSE 0 END,
            inserted = r.inserted + CASE WHEN s.newest THEN $1::int ELSE 0 END,
            updated = r.updated + CASE WHEN s.newest THEN $2::int ELSE 0 END,
            duplicates = r.duplicates + CASE WHEN s.newest THEN $3::int ELSE 0 END,
            doubled_in_chain = r.doubled_in_chain + CASE WHEN s.newest THEN $5::int ELSE 0 END,
            last_merge_at = now()
       FROM sums s WHERE r.run_id = s.run_id`,
    [counts.inserted, counts.updated, counts.duplicates, counts.refused, counts.servedTwiceInChain],
  );
}

/**
 * Counts ids that one chain of cursors served at two places: two rows of one id and window in what is merged, with no
 * suspect page from the first to the second. A page that was asked for by time, after a cursor had died, is suspect, so
 * what it serves again does not count. What a restart serves again does not count either: it is in another merge.
 * @param doubles a relation (id, source_order) with every row of each id worth looking at, or `null` for all.
 */
export async function countServedTwiceInChain(
  client: PoolClient,
  tables: readonly StagingNames[],
  doubles: string | null,
): Promise<number> {
  const all = (columns: string, relation: 'rows' | 'ledger'): string =>
    `(${tables.map((names) => `SELECT ${columns} FROM ${names[relation]}`).join(' UNION ALL ')})`;
  const rowsOfAll = all('id, source_order', 'rows');
  const among =
    doubles === null
      ? `${rowsOfAll} s WHERE s.id IN (SELECT s.id FROM ${rowsOfAll} s GROUP BY s.id, ${WINDOW_OF} HAVING count(*) > 1)`
      : `${doubles} s`;
  const { rows } = await client.query<{ twice: number }>(
    `SELECT count(*)::int AS twice FROM (
       SELECT window_id, page, lag(page) OVER (PARTITION BY id, window_id ORDER BY source_order) AS earlier
         FROM (SELECT s.id, s.source_order, ${WINDOW_OF} AS window_id, ${PAGE_OF} AS page FROM ${among}) places
     ) pairs
     WHERE earlier IS NOT NULL AND NOT EXISTS (
       SELECT FROM ${all('window_id, page, suspect', 'ledger')} l
        WHERE l.window_id = pairs.window_id AND l.page > pairs.earlier AND l.page <= pairs.page AND l.suspect)`,
  );
  return rows[0]?.twice ?? 0;
}

/**
 * Counts rejected elements that one chain served again at a further place, byte for byte the same: they are one anomaly,
 * but the API counts each of them. The rule is that of ids: after a suspect page a repetition may be the first place served
 * again. Places of earlier merges count too if no page of the chain has been suspect. Pages behind a gap do not count yet:
 * they come again. Call it before the ledger is folded and the anomalies are moved.
 */
export async function countRejectedAgainInChain(client: PoolClient, names: StagingNames): Promise<number> {
  const { rows } = await client.query<{ again: number }>(
    `WITH safe AS (
       SELECT run_id, window_id, page, suspect, safe_pages, was_suspect FROM ${newlySafePages(names)} pages
     ), rejected AS (
       SELECT DISTINCT run_id, window_id, page, position, sha256(original) AS digest
         FROM ${names.anomalies} WHERE kind = 'rejected'
     ), places AS (
       SELECT run_id, window_id, page, digest, safe_pages, was_suspect,
              lag(page) OVER (PARTITION BY run_id, window_id, digest ORDER BY page, position) AS earlier
         FROM rejected JOIN safe USING (run_id, window_id, page)
     )
     SELECT count(*)::int AS again FROM places p
      WHERE NOT EXISTS (
              SELECT FROM safe s
               WHERE s.run_id = p.run_id AND s.window_id = p.window_id AND s.suspect
                 AND s.page > coalesce(p.earlier, 0) AND s.page <= p.page)
        AND (p.earlier IS NOT NULL OR NOT p.was_suspect AND EXISTS (
              SELECT FROM ingestion.anomaly a
               WHERE a.run_id = p.run_id AND sha256(a.original) = p.digest AND a.kind = 'rejected'
                 AND a.window_id = p.window_id AND a.page <= p.safe_pages))`,
  );
  return rows[0]?.again ?? 0;
}
