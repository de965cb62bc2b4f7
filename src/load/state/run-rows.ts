/** Rows of `ingestion.run` and `ingestion.state` as the job's types, and back. */
import type { Run, RunStatus, WindowState } from '../../core/state.ts';

/** Columns of a run, named as in {@link RunRow}; bigints arrive as text. */
export const RUN_COLUMNS = `run_id, source, since_ms, until_ms, floor_ms, status,
  extract(epoch FROM started_at)::double precision * 1000 AS started_at_ms, server_date_ms, pass, pass_total, newest_ms,
  watermark_ms, pages, served, loaded, inserted, updated, duplicates, rejected, repaired, doubled_in_chain,
  extract(epoch FROM last_merge_at)::double precision * 1000 AS last_merge_at_ms`;

export interface RunRow {
  run_id: string;
  source: string;
  since_ms: number | null;
  until_ms: number | null;
  floor_ms: number | null;
  status: RunStatus;
  started_at_ms: number;
  server_date_ms: number | null;
  pass: number;
  pass_total: string | null;
  newest_ms: number | null;
  watermark_ms: number | null;
  pages: string;
  served: string;
  loaded: string;
  inserted: string;
  updated: string;
  duplicates: string;
  rejected: string;
  repaired: string;
  doubled_in_chain: string;
  last_merge_at_ms: number | null;
}

/** A run with what only reports need. */
export interface StoredRun extends Run {
  readonly watermarkMs: number | null;
  readonly lastMergeAtMs: number | null;
}

export function toRun(row: RunRow): StoredRun {
  return {
    runId: Number(row.run_id),
    source: row.source,
    sinceMs: row.since_ms,
    untilMs: row.until_ms,
    incrementalSinceMs: row.floor_ms,
    status: row.status,
    startedAtMs: row.started_at_ms,
    serverDateMs: row.server_date_ms,
    pass: row.pass,
    passTotal: row.pass_total === null ? null : Number(row.pass_total),
    newestMs: row.newest_ms,
    watermarkMs: row.watermark_ms,
    lastMergeAtMs: row.last_merge_at_ms,
    counts: {
      pages: Number(row.pages),
      served: Number(row.served),
      loaded: Number(row.loaded),
      inserted: Number(row.inserted),
      updated: Number(row.updated),
      duplicates: Number(row.duplicates),
      rejected: Number(row.rejected),
      repaired: Number(row.repaired),
      servedTwiceInChain: Number(row.doubled_in_chain),
    },
  };
}

/** Columns of a window, named as in {@link WindowRow}. */
export const WINDOW_COLUMNS = `window_id, since_ms, until_ms, safe_pages, cursor, cursor_received_at_ms, anchor_ms,
  last_event_ms, last_event_id, complete, suspect`;

export interface WindowRow {
  window_id: number;
  since_ms: number | null;
  until_ms: number | null;
  safe_pages: number;
  cursor: string | null;
  cursor_received_at_ms: number | null;
  anchor_ms: number | null;
  last_event_ms: number | null;
  last_event_id: string | null;
  complete: boolean;
  suspect: boolean;
}

export function toWindow(row: WindowRow): WindowState {
  return {
    windowId: row.window_id,
    sinceMs: row.since_ms,
    untilMs: row.until_ms,
    safePages: row.safe_pages,
    cursor: row.cursor,
    cursorReceivedAtMs: row.cursor_received_at_ms,
    anchorMs: row.anchor_ms,
    lastEventMs: row.last_event_ms,
    lastEventId: row.last_event_id,
    complete: row.complete,
    suspect: row.suspect,
  };
}
