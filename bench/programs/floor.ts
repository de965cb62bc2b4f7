/**
 * Usage: floor.ts <database URL> <batch file> <connections>
 *
 * What PostgreSQL alone needs: batches lie in memory, connections are open, tables are made. COPY on so many connections
 * at once, without the job's ledger and its transactions; then the job's own merge, and its ANALYZE.
 */
import { Merger, analyzeTarget } from '../../src/load/merge/merge.ts';
import { readBatches } from '../measure/batches.ts';
import { StageClock, writeReport } from '../measure/program-report.ts';
import { copyBatches, prepareTarget, silent, writeLedger } from './prepared-target.ts';

const [url, file, connectionsText] = process.argv.slice(2);
if (url === undefined || file === undefined)
  throw new Error('usage: floor.ts <database URL> <batch file> <connections>');
const connections = Number(connectionsText);

const batches = await readBatches(file);
const target = await prepareTarget(url, connections);
let clock = new StageClock();
await copyBatches(target, 'a', batches, connections, () => {
  clock = new StageClock();
});
clock.end('copy');
await writeLedger(target, 'a', batches, 0);
await new Merger({ ...target, onConflict: 'ignore', logger: silent }).merge('a', batches.length);
clock.end('merge');
await analyzeTarget(target.db);
clock.end('analyze');
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests: 0 });
await target.close();
