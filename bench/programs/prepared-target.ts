/** Prepares a database as the job does and copies batches into staging: the start of the floor and the merge programs. */
import { hostname } from 'node:os';
import { pino } from 'pino';
import { copyRows } from '../../src/load/copy/copy-stream.ts';
import { claimTarget, type Ownership } from '../../src/load/state/owner.ts';
import { Database } from '../../src/load/postgres/database.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import { registerSource } from '../../src/load/schema/source.ts';
import { copySql, stagingNames, type StagingTable } from '../../src/load/schema/staging.ts';
import { FROM_THE_START } from '../../src/load/state/run-changes.ts';
import { StateStore } from '../../src/load/state/state-store.ts';
import { BATCH_WINDOW, ID_COLUMN_TYPES, type Batch } from '../measure/batches.ts';

const WATCHDOG_MS = 600_000;

export const silent = pino({ level: 'silent' });

export interface PreparedTarget {
  readonly db: Database;
  readonly ownership: Ownership;
  readonly runId: number;
  close(): Promise<void>;
}

/** Makes the tables, and a run with one window. */
export async function prepareTarget(url: string, connections: number): Promise<PreparedTarget> {
  const db = await Database.open({
    url,
    copyConnections: connections,
    applicationName: 'bench',
    logger: silent,
    maxWaitMs: 1_000,
  });
  await migrate(db, silent);
  const source = await registerSource(db, { name: 'datasync' });
  await ensureTarget(db, source, ID_COLUMN_TYPES);
  const ownership = await claimTarget(db, {
    name: source.name,
    prepare: () => Promise.resolve(source),
    host: hostname(),
    pid: process.pid,
    logger: silent,
  });
  const store = new StateStore(db, ownership);
  await store.rememberRows({ rows: 0, deletions: 0 });
  const unlimited = { sinceMs: null, untilMs: null };
  const run = await store.createRun({ source: 'bench', ...unlimited }, { ...FROM_THE_START, windows: [unlimited] });
  return {
    db,
    ownership,
    runId: run.runId,
    close: async () => {
      await ownership.release();
      await db.close();
    },
  };
}

/**
 * Copies all batches on all connections at once, without a ledger or transactions of several statements.
 * @param begin called when every connection is open, right before the first row
 */
export async function copyBatches(
  { db, ownership }: PreparedTarget,
  table: StagingTable,
  batches: readonly Batch[],
  connections: number,
  begin: () => void = () => undefined,
): Promise<void> {
  let opened = 0;
  let start: () => void = () => undefined;
  const everyoneOpen = new Promise<void>((resolve) => {
    start = resolve;
  });
  let next = 0;
  const copy = (): Promise<void> =>
    db.withCopyClient(async (client) => {
      opened += 1;
      if (opened === connections) {
        begin();
        start();
      }
      await everyoneOpen;
      for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
        await copyRows(client, copySql(ownership.source, table), batch.rows, {
          ms: WATCHDOG_MS,
          isExcused: () => false,
        });
      }
    });
  await Promise.all(Array.from({ length: connections }, copy));
}

/** Writes at once the ledger that the job would have written page by page. */
export async function writeLedger(
  { db, ownership, runId }: PreparedTarget,
  table: StagingTable,
  batches: readonly Batch[],
  pagesBefore: number,
): Promise<void> {
  await db.query(
    `INSERT INTO ${stagingNames(ownership.source, table).ledger}
       (run_id, window_id, page, generation, ends_window, suspect, served, loaded, rejected, repaired)
     SELECT $1, $2, page + $5, $3, false, false, rows, rows, 0, 0
       FROM unnest($4::int[]) WITH ORDINALITY AS batch (rows, page)`,
    [runId, BATCH_WINDOW, ownership.generation, batches.map((batch) => batch.rowCount), pagesBefore],
  );
}
