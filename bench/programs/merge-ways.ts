/**
 * Usage: merge-ways.ts <database URL> <batch file> <pages of the initial merge> <way>
 *
 * Times one way to move staged rows into ingested_events, from BEGIN to COMMIT. Ways of the initial merge ignore the rest of
 * the batches. Ways of a later merge do the initial merge in the job's way, untimed, and then merge the rest.
 */
import type { PoolClient } from 'pg';
import { EVENT_COLUMNS } from '../../src/encode/rows/event-columns.ts';
import { analyzeTarget } from '../../src/load/merge/analyze-target.ts';
import { Merger } from '../../src/load/merge/merge.ts';
import { tableOf, targetNamed } from '../../src/load/schema/source.ts';
import { stagingNames } from '../../src/load/schema/staging.ts';
import { readBatches } from '../measure/batches.ts';
import { StageClock, writeReport } from '../measure/program-report.ts';
import { copyBatches, prepareTarget, silent, writeLedger } from './prepared-target.ts';

const { sql: TARGET } = targetNamed(tableOf('datasync'), { described: 'the bench' });
const CONNECTIONS = 2;
const COLUMNS = EVENT_COLUMNS.map(({ name }) => name).join(', ');
const BEGIN_QUICK_KEY = `SET LOCAL maintenance_work_mem = '256MB'`;
/** Rows of a table that has a page are logged, also where TRUNCATE would spare them that (`--tuned`). */
const HAS_HAD_ROWS = "first: the job's, into a table that has had rows";

/** Plain SQL, each in one transaction, as somebody would write it who knows PostgreSQL well. */
const INITIAL: Readonly<Record<string, (rows: string) => readonly string[]>> = {
  'insert, then key': (rows) => [
    BEGIN_QUICK_KEY,
    `ALTER TABLE ${TARGET} DROP CONSTRAINT ingested_events_pkey`,
    `INSERT INTO ${TARGET} (${COLUMNS}) SELECT ${COLUMNS} FROM ${rows}`,
    `ALTER TABLE ${TARGET} ADD PRIMARY KEY (id)`,
  ],
  'distinct on (id), then key': (rows) => [
    BEGIN_QUICK_KEY,
    `ALTER TABLE ${TARGET} DROP CONSTRAINT ingested_events_pkey`,
    `INSERT INTO ${TARGET} (${COLUMNS}) SELECT DISTINCT ON (id) ${COLUMNS} FROM ${rows} ORDER BY id, source_order`,
    `ALTER TABLE ${TARGET} ADD PRIMARY KEY (id)`,
  ],
  'create table as, then key': (rows) => [
    BEGIN_QUICK_KEY,
    `DROP TABLE ${TARGET}`,
    `CREATE TABLE ${TARGET} AS SELECT ${COLUMNS}, now() AS ingested_at FROM ${rows}`,
    `ALTER TABLE ${TARGET} ADD PRIMARY KEY (id)`,
  ],
  'through the key, in id order': (rows) => [
    `INSERT INTO ${TARGET} (${COLUMNS}) SELECT ${COLUMNS} FROM ${rows} ORDER BY id ON CONFLICT (id) DO NOTHING`,
  ],
};
const LATER: Readonly<Record<string, (rows: string) => readonly string[]>> = {
  'one sorted insert on conflict': (rows) => [
    `INSERT INTO ${TARGET} (${COLUMNS}) SELECT ${COLUMNS} FROM ${rows} ORDER BY id ON CONFLICT (id) DO NOTHING`,
  ],
};

const [url, file, firstPagesText, way] = process.argv.slice(2);
if (url === undefined || file === undefined || way === undefined) {
  throw new Error('usage: merge-ways.ts <database URL> <batch file> <pages of the initial merge> <way>');
}
const firstPages = Number(firstPagesText);
const batches = await readBatches(file);
const target = await prepareTarget(url, CONNECTIONS);
const merger = new Merger({ ...target, onConflict: 'ignore', logger: silent });
const first = batches.slice(0, firstPages);
await copyBatches(target, 'a', first, CONNECTIONS);
await writeLedger(target, 'a', first, 0);
if (way.startsWith('later: ')) {
  await merger.merge('a', first.length);
  await analyzeTarget(target.db, target.ownership.source.target, silent);
  const rest = batches.slice(firstPages);
  await copyBatches(target, 'b', rest, CONNECTIONS);
  await writeLedger(target, 'b', rest, firstPages);
}
if (way === HAS_HAD_ROWS) {
  await target.db.query(`INSERT INTO ${TARGET} (id) VALUES (gen_random_uuid())`);
  await target.db.query(`DELETE FROM ${TARGET}`);
}
await target.db.query('CHECKPOINT');
const clock = new StageClock();
if (way === "first: the job's" || way === HAS_HAD_ROWS) await merger.merge('a', first.length);
else if (way === "later: the job's") await merger.merge('b', batches.length - firstPages);
else await inOneTransaction(statementsOf(way));
clock.end('merge');
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests: 0 });
await target.close();

function statementsOf(name: string): readonly string[] {
  const [when = '', what = ''] = name.split(': ');
  const statements =
    when === 'first'
      ? INITIAL[what]?.(stagingNames(target.ownership.source, 'a').rows)
      : LATER[what]?.(stagingNames(target.ownership.source, 'b').rows);
  if (statements === undefined) throw new Error(`no such way: ${name}`);
  return statements;
}

async function inOneTransaction(statements: readonly string[]): Promise<void> {
  await target.db.transaction('merge', async (client: PoolClient) => {
    for (const statement of statements) await client.query(statement);
  });
}
