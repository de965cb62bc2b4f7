/**
 * Where the times of windows overlap: around each bound, and below a lower bound as far as pages reach that were under way
 * when a split set it.
 */
import type { PoolClient } from 'pg';
import { turnTime } from '../../core/walk-time.ts';

/** Bounds are sent widened by a millisecond, and are inclusive or not. */
const EDGE_MS = 2;
/**
 * This many last pages of a window can lie below its lower bound: they were under way when a split set it. Earlier pages are
 * not looked at, because one event with a wrong clock would put half of all rows into an edge.
 */
const PAGES_AT_EDGE = 4;
/** The range that `to_timestamp` takes, epoch ms. */
const EARLIEST_MS = -2.1e14;
const LATEST_MS = 9.2e15;

/**
 * @param isOldestFirst windows and ledgers are in walk time: see core/walk-time.ts
 * @param ledgers a relation with the ledger rows of all tables so far
 * @param isAll false when pages may still be under way: up to two of each walk that is near its end
 * @returns first and last time of each edge in turn, as rows have them, epoch ms, ascending; nothing for a single window
 */
export async function readEdges(
  client: PoolClient,
  { runId, isOldestFirst }: { readonly runId: number; readonly isOldestFirst: boolean },
  ledgers: string,
  isAll: boolean,
): Promise<number[]> {
  const { rows } = await client.query<WalkedWindow>(
    `SELECT w.since_ms AS "sinceMs", w.until_ms AS "untilMs", bool_or(l.ends_window) AS ended,
            min(l.oldest_ms) FILTER (WHERE l.last_page - l.page < ${PAGES_AT_EDGE}) AS "lowestMs",
            max(l.above_ms - l.oldest_ms) FILTER (WHERE l.last_page - l.page < ${PAGES_AT_EDGE}) AS "pageMs"
       FROM ingestion.state w
       JOIN (SELECT *, max(page) OVER (PARTITION BY run_id, window_id) AS last_page,
                    lag(oldest_ms) OVER (PARTITION BY run_id, window_id ORDER BY page) AS above_ms
               FROM ${ledgers} pages) l
         USING (run_id, window_id)
      WHERE run_id = ${runId} GROUP BY run_id, window_id, w.since_ms, w.until_ms`,
  );
  if (rows.length < 2) return [];
  const edges: [number, number][] = [];
  for (const window of rows) {
    const { sinceMs, untilMs } = window;
    if (sinceMs !== null) edges.push([lowestReach(window, sinceMs, isAll) - EDGE_MS, sinceMs + EDGE_MS]);
    if (untilMs !== null) edges.push([untilMs - EDGE_MS, untilMs + EDGE_MS]);
  }
  const apart: [number, number][] = [];
  for (const [from, to] of edges.sort(([one], [other]) => one - other)) {
    const last = apart.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else apart.push([from, to]);
  }
  const edgesMs = apart.flat().map((ms) => Math.min(Math.max(turnTime(ms, isOldestFirst), EARLIEST_MS), LATEST_MS));
  return isOldestFirst ? edgesMs.reverse() : edgesMs;
}

interface WalkedWindow {
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly ended: boolean;
  /** The oldest time of its last pages, and the time that the widest of them spans. */
  readonly lowestMs: number | null;
  readonly pageMs: number | null;
}

function lowestReach({ ended, lowestMs, pageMs }: WalkedWindow, sinceMs: number, isAll: boolean): number {
  const isUnderWay =
    !isAll && !ended && lowestMs !== null && pageMs !== null && lowestMs - sinceMs < PAGES_AT_EDGE * pageMs;
  return Math.min(sinceMs - (isUnderWay ? 2 * pageMs : 0), lowestMs ?? sinceMs);
}
