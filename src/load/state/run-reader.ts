/** What the database knows about runs, read only: no claim, no change, safe beside a running job. */
import type { Run, WindowState } from '../../core/state.ts';
import type { Database } from '../postgres/database.ts';
import type { Queryable } from '../postgres/one-row.ts';
import { IS_WORKED_ON } from './advisory-lock.ts';
import { isOf, type Source } from '../schema/source.ts';

/** A run, and what only reports need. */
export interface StoredRun extends Run {
  readonly lastMergeAtMs: number | null;
}

/**
 * Selects a {@link StoredRun} from `ingestion.run`. Casts, because node-postgres returns a bigint as text. Later columns
 * come by way of the whole row: a database that only an older version has used yet lacks them, and is read too.
 */
export const RUN_COLUMNS = `run_id::float8 AS "runId", source, since_ms AS "sinceMs", until_ms AS "untilMs",
  floor_ms AS "incrementalSinceMs", status, extract(epoch FROM started_at)::float8 * 1000 AS "startedAtMs",
  server_date_ms AS "serverDateMs", pass, pass_total::float8 AS "passTotal", newest_ms AS "newestMs",
  watermark_ms AS "watermarkMs", extract(epoch FROM last_merge_at)::float8 * 1000 AS "lastMergeAtMs",
  json_build_object('pages', pages, 'served', served, 'loaded', loaded, 'inserted', inserted, 'updated', updated,
    'duplicates', duplicates, 'rejected', rejected, 'repaired', repaired) AS counts,
  (to_jsonb(run) ->> 'known_total')::float8 AS "knownTotal",
  coalesce((to_jsonb(run) -> 'places_known')::bool, false) AS "placesKnown", to_jsonb(run) ->> 'begun_by' AS "begunBy",
  (to_jsonb(run) ->> 'lookback_ms')::float8 AS "lookbackMs", (to_jsonb(run) ->> 'base_total')::float8 AS "baseTotal",
  (to_jsonb(run) ->> 'base_recent')::float8 AS "baseRecent", (to_jsonb(run) ->> 'recent_places')::float8 AS "recentPlaces",
  to_jsonb(run) -> 'proof' AS proof`;

/** Selects a `WindowState`. */
export const WINDOW_COLUMNS = `window_id AS "windowId", since_ms AS "sinceMs", until_ms AS "untilMs",
  safe_pages AS "safePages", cursor, to_jsonb(state) ->> 'cursor_from' AS "cursorFrom",
  to_jsonb(state) -> 'cursor_limit' AS "cursorLimit", cursor_received_at_ms AS "cursorReceivedAtMs", anchor_ms AS "anchorMs",
  last_event_ms AS "lastEventMs", complete, suspect,
  coalesce((to_jsonb(state) -> 'doubtful')::bool, false) AS "isDoubtful",
  (to_jsonb(state) ->> 'page_end_ms')::float8 AS "pageEndMs", (to_jsonb(state) ->> 'chain_served')::float8 AS "chainServed",
  CASE WHEN to_jsonb(state) ->> 'edge_ms' IS NOT NULL THEN
    jsonb_build_object('atMs', to_jsonb(state) -> 'edge_ms', 'keys', to_jsonb(state) -> 'edge_keys') END AS edge`;

/** Later columns in a condition. A job that follows has many runs, and the whole row of each as JSON would cost more than its round. */
const begunByOf = ({ isAlone }: Source): string => (isAlone === true ? `to_jsonb(run) ->> 'begun_by'` : 'run.begun_by');
const proofOf = ({ isAlone }: Source): string => (isAlone === true ? `to_jsonb(run) -> 'proof'` : 'run.proof');

/** A condition on `ingestion.run`: it is a round of `--follow`. */
const isRound = (source: Source): string => `coalesce(${begunByOf(source)} IN ('new-events', 'lookback'), false)`;

/** The run of a source that is under way or was interrupted; `null` when there is none. There is never more than one. */
export async function readCurrentRun(db: Queryable, source: Source): Promise<StoredRun | null> {
  return readRun(db, source, `status = 'running'`);
}

/** The newest complete run that is no round, of any address and range; `null` when there is none. */
export async function readLastCompleteRun(db: Database, source: Source): Promise<StoredRun | null> {
  return readRun(db, source, `status = 'complete' AND NOT ${isRound(source)}`);
}

/**
 * The newest complete run over all that is at an address: what a later run of it goes on from. One that is to prove something rests on
 * one that is proven, and is no round; a round rests on whatever has come as far down as it begins.
 * Version 1.0.0 stored no proof, and what it checked leaves room for losses.
 * @param use what is to go on from it: a round, or a run that is to prove something (`proof`). Nothing: `attempt`, it may be unproven;
 * `counted`, it was told the API's count
 */
export async function readBaseRun(
  db: Queryable,
  source: Source,
  address: string,
  use: BaseUse,
): Promise<StoredRun | null> {
  const isOfAll = `status = 'complete' AND source = $1 AND since_ms IS NULL AND until_ms IS NULL`;
  return readRun(db, source, `${isOfAll} AND ${BASE_CONDITIONS[use](source)}`, [address]);
}

export type BaseUse = keyof typeof BASE_CONDITIONS;

const BASE_CONDITIONS = {
  proof: (source: Source) => `${proofOf(source)} ->> 'kind' IN ('count', 'api-end') AND NOT ${isRound(source)}`,
  attempt: (source: Source) => `NOT ${isRound(source)}`,
  lookback: (source: Source) => `${begunByOf(source)} IS DISTINCT FROM 'new-events'`,
  'new-events': () => 'true',
  counted: () => 'pass_total IS NOT NULL',
} as const;

/** The newest run in any status. A round of `--follow` is none: it proves nothing, and takes nothing back. */
export async function readNewestRun(db: Database, source: Source): Promise<StoredRun | null> {
  return readRun(db, source, `NOT ${isRound(source)}`);
}

async function readRun(
  db: Queryable,
  source: Source,
  condition: string,
  values: readonly string[] = [],
): Promise<StoredRun | null> {
  const { rows } = await db.query<StoredRun>(
    `SELECT ${RUN_COLUMNS} FROM ingestion.run
      WHERE ${isOf('run', source)} AND ${condition} ORDER BY run_id DESC LIMIT 1`,
    [...values],
  );
  return rows[0] ?? null;
}

/** All windows of a run, by their numbers. */
export async function readWindows(db: Database, runId: number): Promise<WindowState[]> {
  const { rows } = await db.query<WindowState>(
    `SELECT ${WINDOW_COLUMNS} FROM ingestion.state WHERE run_id = $1 ORDER BY window_id`,
    [runId],
  );
  return rows;
}

/** Who took the source last, and whether its advisory lock is held right now. */
export interface OwnerReport {
  readonly generation: number;
  readonly host: string;
  readonly pid: number;
  readonly sinceMs: number;
  readonly active: boolean;
}

/** See {@link OwnerReport}; `null` when no job has ever taken it. */
export async function readOwner(db: Database, source: Source): Promise<OwnerReport | null> {
  const { rows } = await db.query<OwnerReport>(
    `SELECT generation::float8 AS generation, host, pid, extract(epoch FROM since)::float8 * 1000 AS "sinceMs",
            EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE d.datname = current_database() AND ${IS_WORKED_ON}) AS active
       FROM ingestion.owner WHERE ${isOf('owner', source)} AND generation > 0`,
    [source.name],
  );
  return rows[0] ?? null;
}
