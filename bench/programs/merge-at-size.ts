/**
 * Usage: merge-at-size.ts <database URL> <batch file> <rows> <partitions>
 *
 * Fills the table in SQL with so many rows, whose ids are random, and merges the batches into it in the job's way: a third at
 * once, a third in four merges, and a third at once after the key was built anew with room in its pages. With `partitions` (0:
 * none) the table is divided by a hash of the id.
 */
import { analyzeTarget } from '../../src/load/merge/analyze-target.ts';
import { Merger } from '../../src/load/merge/merge.ts';
import { tableOf, targetNamed } from '../../src/load/schema/source.ts';
import { readBatches, type Batch } from '../measure/batches.ts';
import { sizeReportSchema, type MergeAtSize } from '../measure/size-report.ts';
import { copyBatches, prepareTarget, silent, writeLedger } from './prepared-target.ts';

const { sql: TARGET } = targetNamed(tableOf('datasync'), { described: 'the bench' });
const CONNECTIONS = 2;
const FILL_EVERY = 1_000_000;
const MB = 2 ** 20;
/** Of the key's pages; PostgreSQL's default is 90. */
const ROOMY_FILLFACTOR = 70;
const SMALL_MERGES = 4;
/** Autovacuum would hold locks that building the key needs, and work beside a merge that is timed. */
const ALONE = '(autovacuum_enabled = false)';

const [url, file, rowsText, partitionsText] = process.argv.slice(2);
if (url === undefined || file === undefined || rowsText === undefined || partitionsText === undefined) {
  throw new Error('usage: merge-at-size.ts <database URL> <batch file> <rows> <partitions>');
}
const batches = await readBatches(file);
const target = await prepareTarget(url, CONNECTIONS);
const { db, ownership } = target;
await fill(Number(rowsText), Number(partitionsText));

const merger = new Merger({ ...target, onConflict: 'ignore', logger: silent });
const third = Math.floor(batches.length / 3);
const [atOnce, inFour, roomy] = [0, 1, 2].map((part) => batches.slice(part * third, (part + 1) * third));
let staging: 'a' | 'b' = 'a';
let pages = 0;
const merges: MergeAtSize[] = [await measure('at once', [atOnce ?? []])];
const quarter = Math.ceil((inFour ?? []).length / SMALL_MERGES);
const quarters = Array.from({ length: SMALL_MERGES }, (_, part) =>
  (inFour ?? []).slice(part * quarter, (part + 1) * quarter),
);
merges.push(await measure('in four merges', quarters));
if (Number(partitionsText) === 0) {
  await db.query(`ALTER INDEX ingested_events_pkey SET (fillfactor = ${ROOMY_FILLFACTOR})`);
  await db.query('REINDEX INDEX ingested_events_pkey');
  merges.push(await measure(`at once, the key with fillfactor ${ROOMY_FILLFACTOR}`, [roomy ?? []]));
}
process.stdout.write(`${JSON.stringify(sizeReportSchema.parse({ report: 'size', merges }))}\n`);
await target.close();

/** Rows as the job makes them, by their size; the key is built behind them. */
async function fill(rows: number, partitions: number): Promise<void> {
  if (partitions > 0) {
    await db.query(`ALTER TABLE ${TARGET} RENAME TO plain`);
    await db.query(`CREATE TABLE ${TARGET} (LIKE plain INCLUDING DEFAULTS) PARTITION BY HASH (id)`);
    for (let part = 0; part < partitions; part += 1) {
      await db.query(
        `CREATE TABLE ingested_events_${part} PARTITION OF ${TARGET} FOR VALUES WITH (MODULUS ${partitions}, REMAINDER ${part}) WITH ${ALONE}`,
      );
    }
    await db.query('DROP TABLE plain');
  } else {
    await db.query(`ALTER TABLE ${TARGET} DROP CONSTRAINT ingested_events_pkey, SET ${ALONE}`);
  }
  for (let from = 0; from < rows; from += FILL_EVERY) {
    await db.query(
      `INSERT INTO ${TARGET} (id, session_id, user_id, type, name, properties, occurred_at, device_type, browser)
       SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'page_view', 'event_' || n,
              jsonb_build_object('page', '/home', 'n', n), to_timestamp(1600000000 + n / 10.0), 'mobile', 'Chrome'
         FROM generate_series(${from}, ${Math.min(rows, from + FILL_EVERY) - 1}) AS n`,
    );
  }
  await db.query(`SET maintenance_work_mem = '1GB'`);
  await db.query(`ALTER TABLE ${TARGET} ADD CONSTRAINT ingested_events_pkey PRIMARY KEY (id)`);
  await analyzeTarget(db, ownership.source.target, silent);
  await db.query('VACUUM');
}

/** Merges one after the other; copying into staging is not timed. */
async function measure(way: string, parts: readonly (readonly Batch[])[]): Promise<MergeAtSize> {
  let seconds = 0;
  let events = 0;
  await db.query('CHECKPOINT');
  const [before] = (await db.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')).rows;
  for (const part of parts) {
    await copyBatches(target, staging, part, CONNECTIONS);
    await writeLedger(target, staging, part, pages);
    pages += part.length;
    const startedMs = performance.now();
    await merger.merge(staging, part.length);
    seconds += (performance.now() - startedMs) / 1000;
    events += part.reduce((sum, batch) => sum + batch.rowCount, 0);
    staging = staging === 'a' ? 'b' : 'a';
  }
  const { rows } = await db.query<{ wal: string; key: string }>(
    `SELECT pg_current_wal_insert_lsn() - $1::pg_lsn AS wal,
            (SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'ingested_events%_pkey') AS key`,
    [before?.lsn],
  );
  const walMb = Number(rows[0]?.wal) / MB;
  return { way, events, seconds, walMb, keyMb: Number(rows[0]?.key) / MB };
}
