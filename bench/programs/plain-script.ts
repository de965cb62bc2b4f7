/** Usage: plain-script.ts <base URL> <database URL>. Asks for a page, parses it, inserts a thousand rows a statement, asks for the next page. */
import pg from 'pg';
import { StageClock, writeReport } from '../measure/program-report.ts';
import { COLUMN_NAMES, CREATE_TABLE, pageSchema, toRow } from './events-as-objects.ts';

const ROWS_A_STATEMENT = 1_000;

const [baseUrl, databaseUrl] = process.argv.slice(2);
if (baseUrl === undefined || databaseUrl === undefined) {
  throw new Error('usage: plain-script.ts <base URL> <database URL>');
}
const clock = new StageClock();
const client = new pg.Client({ connectionString: databaseUrl });
await client.connect();
await client.query(CREATE_TABLE);
let cursor: string | null = null;
let requests = 0;
do {
  const url = new URL(`${baseUrl}/events?limit=5000`);
  if (cursor !== null) url.searchParams.set('cursor', cursor);
  const response = await fetch(url, { headers: { 'X-API-Key': 'bench' } });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  requests += 1;
  const page = pageSchema.parse(await response.json());
  clock.end('fetch and parse');
  for (let from = 0; from < page.data.length; from += ROWS_A_STATEMENT) {
    const rows = page.data.slice(from, from + ROWS_A_STATEMENT).map(toRow);
    const places = rows.map((row, r) => `(${row.map((_, c) => `$${r * row.length + c + 1}`).join(',')})`);
    await client.query(
      `INSERT INTO ingested_events (${COLUMN_NAMES}) VALUES ${places.join(',')} ON CONFLICT (id) DO NOTHING`,
      rows.flat(),
    );
  }
  clock.end('insert');
  cursor = page.pagination.nextCursor;
} while (cursor !== null);
await client.end();
await writeReport({ beganAtMs: clock.beganAtMs, stages: clock.stages, requests });
