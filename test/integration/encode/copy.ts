import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import { type PageEncoding, encodePage } from '../../../src/encode/encode-page.ts';
import { COPY_COLUMNS, sqlType } from '../../../src/encode/rows/event-columns.ts';
import type { EventEncoderOptions } from '../../../src/encode/rows/event-encoder.ts';
import type { StoredEvent } from '../../../src/encode/rows/event-rebuilding.ts';
import { bytesOf } from '../../unit/encode/rows/copy-stream-reader.ts';
import { testDatabase } from '../../support/database.ts';

/** A row as PostgreSQL prints it, with its place in the page and the time in µs since 1970. */
export interface LoadedRow extends StoredEvent {
  readonly position: number;
  readonly type: string | null;
  readonly properties: string | null;
  readonly occurred_at_us: string | null;
}

/** µs since 1970; counted from 2000 first, because `extract(epoch …)` rounds where µs since 1970 leave 64 bits. */
const MICROSECONDS =
  "(extract(epoch FROM $ - timestamptz '2000-01-01+00') * 1000000 + 946684800000000)::numeric(30, 0)::text";

/** PostgreSQL's own reading of a text, null where it refuses it. */
const TRY_FUNCTIONS = `
  CREATE FUNCTION try_uuid(t text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RETURN t::uuid::text; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
  CREATE FUNCTION try_time(t text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RETURN ${MICROSECONDS.replace('$', 't::timestamptz')}; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
  CREATE FUNCTION try_jsonb(t text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RETURN t::jsonb::text; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;`;

/** One connection to a database of the test's own, in UTC, with `try_uuid`, `try_time` and `try_jsonb`. */
export async function encoderDatabase(t: TestContext): Promise<pg.Client> {
  const { url } = await testDatabase(t);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  t.after(() => client.end());
  await client.query("SET timezone TO 'UTC'; SET datestyle TO 'ISO, YMD'");
  await client.query(TRY_FUNCTIONS);
  return client;
}

export function encode(events: readonly string[], options: EventEncoderOptions): PageEncoding {
  const page = encodePage(bytesOf(`{"data":[${events.join(',')}]}`), options);
  if ('fault' in page) assert.fail(`a page, got ${page.fault}: ${page.detail}`);
  assert.equal(page.servedCount, events.length);
  assert.equal(page.rowCount + page.rejectedCount, page.servedCount);
  return page;
}

/** Copies the page into a table and reads it back, in the order of the page. */
export async function load(client: pg.Client, page: PageEncoding, options: EventEncoderOptions): Promise<LoadedRow[]> {
  const columns = COPY_COLUMNS.map((column) => `${column.name} ${sqlType(column, options.idColumnTypes)}`);
  await client.query(`CREATE TEMPORARY TABLE IF NOT EXISTS page (${columns.join(', ')})`);
  const names = COPY_COLUMNS.map((column) => column.name).join(', ');
  const stream = client.query(copyFrom(`COPY page (${names}) FROM STDIN (FORMAT binary)`));
  stream.end(Buffer.from(page.rows, 0, page.rowsBytes));
  await once(stream, 'finish');
  assert.equal(stream.rowCount, page.rowCount);
  const { rows } = await client.query<LoadedRow>(
    `SELECT id::text, session_id::text, user_id::text, type, name, properties::text, occurred_at::text, device_type, browser,
       extra::text, (source_order - $1)::int AS position,
       ${MICROSECONDS.replace('$', 'occurred_at')} AS occurred_at_us
     FROM page ORDER BY source_order`,
    [options.firstSourceOrder.toString()],
  );
  await client.query('DROP TABLE page');
  return rows;
}
