/** Usage: bare-export.ts <database URL> <file>. Copies the ids into a file, and does nothing else. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { to } from 'pg-copy-streams';

const [url, file] = process.argv.slice(2);
if (url === undefined || file === undefined) throw new Error('usage: bare-export.ts <database URL> <file>');
const client = new pg.Client({ connectionString: url });
await client.connect();
await pipeline(client.query(to('COPY (SELECT id FROM ingested_events) TO STDOUT')), createWriteStream(file));
await client.end();
