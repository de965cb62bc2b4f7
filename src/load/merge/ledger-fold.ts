/** The ledger of a staging table: its sums, and its folding into `ingestion.state` and `ingestion.run`. */
import type { PoolClient } from 'pg';
import type { RunCounts } from '../../core/state.ts';
import { oneRow } from '../postgres/one-row.ts';
import type { StagingNames } from '../schema/staging.ts';

export interface LedgerSums extends Pick<RunCounts, 'pages' | 'served' | 'loaded' | 'rejected' | 'repaired'> {
  /** Of the newest run among the pages; `null` when there are none. */
  readonly runId: number | null;
}

/** What a merge adds to the counts of its run, beyond the sums of its ledger. */
interface MergeCounts extends Pick<RunCounts, 'inserted' | 'updated' | 'duplicates'> {
  readonly refused: number;
  /** See `haveComeAgain` of state/found-events.ts. */
  readonly cameAgain: boolean;
}

export async function sumLedger(client: PoolClient, names: StagingNames): Promise<LedgerSums> {
  return oneRow<LedgerSums>(
    client,
    `SELECT count(*)::int AS pages, coalesce(sum(served), 0)::int AS served, coalesce(sum(loaded), 0)::int AS loaded,
            coalesce(sum(rejected), 0)::int AS rejected, coalesce(sum(repaired), 0)::int AS repaired,
            max(run_id)::float8 AS "runId"
       FROM ${names.ledger}`,
  );
}

/** A relation: the ledger rows that continue their window's safe pages without a gap. */
function newlySafePages(names: StagingNames): string {
  return `(SELECT * FROM (
       SELECT l.*, l.page - w.safe_pages - row_number() OVER (PARTITION BY l.run_id, l.window_id ORDER BY l.page) AS missing
         FROM ${names.ledger} l JOIN ingestion.state w USING (run_id, window_id)
        WHERE l.page > w.safe_pages
     ) numbered WHERE missing = 0)`;
}

/** Sums of the ledger that a window's state keeps: the places, and what they may be off by. */
const SUMS = ['places', 'top_places', 'recent_places', 'unsure', 'repeated'] as const;

/**
 * Moves each window's safe position to the end of the longest row of pages without a gap. Where the last safe page has no
 * anchor or no last event, those of an earlier page stay. The keys at the edge are those of all pages that end there. A page
 * that no cursor led to begins a chain. Pages whose window was replaced by one with a new number count,
 * but change no position.
 */
export async function foldLedger(client: PoolClient, names: StagingNames): Promise<void> {
  const last = (column: string): string => `(array_agg(${column} ORDER BY page DESC))[1] AS ${column}`;
  const lastKnown = (column: string): string =>
    `(array_agg(${column} ORDER BY page DESC) FILTER (WHERE ${column} IS NOT NULL))[1]`;
  const keysAt = (edgeMs: string): string =>
    `(SELECT array_agg(k.key ORDER BY p.page, k.place) FROM pages p, unnest(p.edge_keys) WITH ORDINALITY AS k (key, place)
       WHERE p.run_id = f.run_id AND p.window_id = f.window_id AND p.edge_ms = ${edgeMs})`;
  await client.query(
    `WITH pages AS MATERIALIZED (
       SELECT *, max(page) FILTER (WHERE NOT continued) OVER (PARTITION BY run_id, window_id) AS chain_from
         FROM ${newlySafePages(names)} safe
     ), folded AS (
       SELECT run_id, window_id, max(page) AS safe_pages, ${last('next_cursor')}, ${last('cursor_from')},
              ${last('cursor_limit')}, ${last('cursor_received_at_ms')},
              ${lastKnown('anchor_ms')} AS anchor_ms, ${lastKnown('last_event_ms')} AS last_event_ms,
              ${lastKnown('page_end_ms')} AS page_end_ms, ${lastKnown('edge_ms')} AS edge_ms,
              bool_or(ends_window) AS ends_window, bool_or(suspect) AS suspect, bool_or(doubtful) AS doubtful,
              ${SUMS.map((name) => `sum(${name}) AS ${name}`).join(', ')},
              max(chain_from) AS chain_from, sum(served) FILTER (WHERE page >= coalesce(chain_from, 0)) AS chain_served,
              count(*) FILTER (WHERE continued) AS borders,
              count(*) FILTER (WHERE continued AND repeated > 0) AS repeating_borders
         FROM pages GROUP BY run_id, window_id
     )
     UPDATE ingestion.state w
        SET safe_pages = f.safe_pages, cursor = f.next_cursor, cursor_from = f.cursor_from,
            cursor_limit = f.cursor_limit, cursor_received_at_ms = f.cursor_received_at_ms,
            anchor_ms = coalesce(f.anchor_ms, w.anchor_ms), last_event_ms = coalesce(f.last_event_ms, w.last_event_ms),
            page_end_ms = coalesce(f.page_end_ms, w.page_end_ms), edge_ms = coalesce(f.edge_ms, w.edge_ms),
            edge_keys = CASE WHEN f.edge_ms IS NULL THEN w.edge_keys
                             WHEN f.edge_ms = w.edge_ms THEN w.edge_keys || ${keysAt('f.edge_ms')}
                             ELSE ${keysAt('f.edge_ms')} END,
            complete = w.complete OR f.ends_window, suspect = w.suspect OR f.suspect,
            doubtful = w.doubtful OR f.doubtful,
            chain_served = f.chain_served + CASE WHEN f.chain_from IS NULL THEN w.chain_served ELSE 0 END,
            ${[...SUMS, 'borders', 'repeating_borders'].map((name) => `${name} = w.${name} + f.${name}`).join(', ')}
       FROM folded f WHERE w.run_id = f.run_id AND w.window_id = f.window_id`,
  );
}

/** Adds the ledgers to the counts of each of their runs, and the merge to those of the newest. */
export async function addToCounts(client: PoolClient, ledgers: readonly string[], counts: MergeCounts): Promise<void> {
  const pages = ledgers.map((ledger) => `SELECT run_id, served, loaded, rejected, repaired FROM ${ledger}`);
  await client.query(
    `WITH sums AS (
       SELECT run_id, count(*) AS pages, sum(served) AS served, sum(loaded) AS loaded, sum(rejected) AS rejected,
              sum(repaired) AS repaired, run_id = max(run_id) OVER () AS newest
         FROM (${pages.join(' UNION ALL ')}) AS pages GROUP BY run_id
     )
     UPDATE ingestion.run r
        SET pages = r.pages + s.pages, served = r.served + s.served, repaired = r.repaired + s.repaired,
            loaded = r.loaded + s.loaded - CASE WHEN s.newest THEN $4::int ELSE 0 END,
            rejected = r.rejected + s.rejected + CASE WHEN s.newest THEN $4::int ELSE 0 END,
            inserted = r.inserted + CASE WHEN s.newest THEN $1::int ELSE 0 END,
            updated = r.updated + CASE WHEN s.newest THEN $2::int ELSE 0 END,
            duplicates = r.duplicates + CASE WHEN s.newest THEN $3::int ELSE 0 END,
            came_again = r.came_again OR (s.newest AND $5), last_merge_at = now()
       FROM sums s WHERE r.run_id = s.run_id`,
    [counts.inserted, counts.updated, counts.duplicates, counts.refused, counts.cameAgain],
  );
}
