/**
 * Usage: two-stage.ts <base URL> <database URL> <folder>
 *
 * Writes the whole data set into a local file, page by page, with a state file beside it to resume from. Then copies the file
 * into a table without an index, and runs INSERT … ON CONFLICT from there.
 */
import { createReadStream } from 'node:fs';
import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from } from 'pg-copy-streams';
import { StageClock, writeReport } from '../measure/program-report.ts';
import { COLUMN_NAMES, CREATE_TABLE, pageSchema, toRow } from './events-as-objects.ts';

const [baseUrl, databaseUrl, folder] = process.argv.slice(2);
if (baseUrl === undefined || databaseUrl === undefined || folder === undefined) {
  throw new Error('usage: two-stage.ts <base URL> <database URL> <folder>');
}
const clock = new StageClock();
const file = join(folder, 'events.tsv');
const output = await open(file, 'w');
let cursor: string | null = null;
let requests = 0;
do {
  const url = new URL(`${baseUrl}/events?limit=5000`);
  if (cursor !== null) url.searchParams.set('cursor', cursor);
  const response = await fetch(url, { headers: { 'X-API-Key': 'bench' } });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  requests += 1;
  const page = pageSchema.parse(await response.json());
  let lines = '';
  for (const event of page.data) lines += `${toRow(event).map(toCopyText).join('\t')}\n`;
  await output.write(lines);
  cursor = page.pagination.nextCursor;
  const state = join(folder, 'state.json');
  await writeFile(`${state}.new`, JSON.stringify({ cursor, requests }));
  await rename(`${state}.new`, state);
} while (cursor !== null);
await output.close();
clock.end('fetch to file');

const client = new pg.Client({ connectionString: databaseUrl });
await client.connect();
await client.query(CREATE_TABLE);
await client.query('CREATE UNLOGGED TABLE staging (LIKE ingested_events INCLUDING DEFAULTS)');
await pipeline(createReadStream(file), client.query(from(`COPY staging (${COLUMN_NAMES}) FROM STDIN`)));
clock.end('copy');
await client.query(
  `INSERT INTO ingested_events (${COLUMN_NAMES}) SELECT ${COLUMN_NAMES} FROM staging ON CONFLICT (id) DO NOTHING`,
);
await client.query('DROP TABLE staging');
clock.end('merge');
await client.end();
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests });

function toCopyText(value: string | null): string {
  if (value === null) return '\\N';
  return value.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}
