/**
 * Usage: floor.ts <database URL> <batch file> <connections>
 *
 * What PostgreSQL alone needs: batches lie in memory, connections are open, tables are made. COPY on so many connections
 * at once, without the job's ledger and its transactions; then the job's own merge, and its ANALYZE.
 */
import { pino } from 'pino';
import { copyRows } from '../../src/load/copy-stream.ts';
import { Merger, analyzeTarget } from '../../src/load/merge.ts';
import { claimTarget } from '../../src/load/owner.ts';
import { Database, ownHost } from '../../src/load/postgres.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import { copySql, stagingNames } from '../../src/load/staging.ts';
import { StateStore } from '../../src/load/state-store.ts';
import { BATCH_WINDOW, ID_COLUMN_TYPES, readBatches } from '../batches.ts';
import { StageClock, writeReport } from '../program-report.ts';

const WATCHDOG_MS = 600_000;

const [url, file, connectionsText] = process.argv.slice(2);
if (url === undefined || file === undefined)
  throw new Error('usage: floor.ts <database URL> <batch file> <connections>');
const connections = Number(connectionsText);
const logger = pino({ level: 'silent' });

const batches = await readBatches(file);
const db = await Database.open({
  url,
  copyConnections: connections,
  applicationName: 'bench floor',
  logger,
  maxWaitMs: 1_000,
});
await migrate(db);
await ensureTarget(db, ID_COLUMN_TYPES);
const ownership = await claimTarget(db, { host: ownHost(), pid: process.pid, logger });
const store = new StateStore(db, ownership);
const run = await store.createRun({ source: 'bench', sinceMs: null, untilMs: null }, { floorMs: null });
await store.addWindows(run.runId, [{ sinceMs: null, untilMs: null }]);

let opened = 0;
let allOpen: () => void = () => undefined;
let begin: () => void = () => undefined;
const everyoneOpen = new Promise<void>((resolve) => (allOpen = resolve));
const started = new Promise<void>((resolve) => (begin = resolve));
let next = 0;
const copiers = Array.from({ length: connections }, () =>
  db.withCopyClient(async (client) => {
    opened += 1;
    if (opened === connections) allOpen();
    await started;
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
      await copyRows(client, copySql('a'), batch.rows, WATCHDOG_MS);
    }
  }),
);
await everyoneOpen;
const clock = new StageClock();
begin();
await Promise.all(copiers);
clock.end('copy');
await db.query(
  `INSERT INTO ${stagingNames('a').ledger}
     (run_id, window_id, page, generation, ends_window, suspect, served, loaded, rejected, repaired)
   SELECT $1, $2, page, $3, page = cardinality($4::int[]), false, rows, rows, 0, 0
     FROM unnest($4::int[]) WITH ORDINALITY AS batch (rows, page)`,
  [run.runId, BATCH_WINDOW, ownership.generation, batches.map((batch) => batch.rowCount)],
);
await new Merger({ db, ownership, runId: run.runId, onConflict: 'ignore', logger }).merge('a', batches.length);
clock.end('merge');
await analyzeTarget(db);
clock.end('analyze');
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests: 0 });
await ownership.release();
await db.close();
