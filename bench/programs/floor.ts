/**
 * Usage: floor.ts <database URL> <batch file> <connections>
 *
 * Measures what PostgreSQL alone needs. Batches are in memory, connections open and tables made beforehand. Then: COPY on all
 * connections at once, without the job's ledger and transactions; the job's own merge; its ANALYZE.
 */
import { analyzeTarget } from '../../src/load/merge/analyze-target.ts';
import { Merger } from '../../src/load/merge/merge.ts';
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
await analyzeTarget(target.db, target.ownership.source.target, silent);
clock.end('analyze');
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests: 0 });
await target.close();
