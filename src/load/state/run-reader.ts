/** What the database knows about runs, read only: no claim, no change, safe beside a running job. */
import type { WindowState } from '../../core/state.ts';
import { LOCK_KEYS } from './owner.ts';
import type { Database } from '../postgres/database.ts';
import { RUN_COLUMNS, WINDOW_COLUMNS, toRun, toWindow } from './run-rows.ts';
import type { RunRow, StoredRun, WindowRow } from './run-rows.ts';

export type { StoredRun } from './run-rows.ts';

/** The run that is under way or was interrupted; `null` when there is none. There is never more than one. */
export async function readCurrentRun(db: Database): Promise<StoredRun | null> {
  return readRun(db, `status = 'running'`);
}

/** The newest complete run; `null` when none ever was. */
export async function readLastCompleteRun(db: Database): Promise<StoredRun | null> {
  return readRun(db, `status = 'complete'`);
}

/** The newest run, whatever became of it. */
export async function readNewestRun(db: Database): Promise<StoredRun | null> {
  return readRun(db, 'true');
}

async function readRun(db: Database, condition: string): Promise<StoredRun | null> {
  const { rows } = await db.query<RunRow>(
    `SELECT ${RUN_COLUMNS} FROM ingestion.run WHERE ${condition} ORDER BY run_id DESC LIMIT 1`,
  );
  return rows[0] === undefined ? null : toRun(rows[0]);
}

/** All windows of a run, by their numbers. */
export async function readWindows(db: Database, runId: number): Promise<WindowState[]> {
  const { rows } = await db.query<WindowRow>(
    `SELECT ${WINDOW_COLUMNS} FROM ingestion.state WHERE run_id = $1 ORDER BY window_id`,
    [runId],
  );
  return rows.map(toWindow);
}

/** Who holds the target, as far as the table says, and whether its advisory lock is held right now. */
export interface OwnerReport {
  readonly generation: number;
  readonly host: string;
  readonly pid: number;
  readonly sinceMs: number;
  readonly active: boolean;
}

/** See {@link OwnerReport}; `null` when no job has ever been here. */
export async function readOwner(db: Database): Promise<OwnerReport | null> {
  const { rows } = await db.query<{ generation: string; host: string; pid: number; since_ms: number; active: boolean }>(
    `SELECT generation, host, pid, extract(epoch FROM since)::double precision * 1000 AS since_ms,
            EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
                       AND l.classid = $1 AND l.objid = $2) AS active
       FROM ingestion.owner WHERE generation > 0`,
    [...LOCK_KEYS],
  );
  const row = rows[0];
  return row === undefined
    ? null
    : {
        generation: Number(row.generation),
        host: row.host,
        pid: row.pid,
        sinceMs: row.since_ms,
        active: row.active,
      };
}
