/** What a simulator served, against what is in the target: every id, every value; and the books of the last run. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import type { TestDatabase } from './database.ts';

interface TargetRow {
  readonly id: string;
  readonly session_id: string | null;
  readonly user_id: string | null;
  readonly type: string | null;
  readonly name: string | null;
  readonly properties: string | null;
  /** Epoch µs as digits. */
  readonly occurred_at: string | null;
  readonly device_type: string | null;
  readonly browser: string | null;
  readonly extra: string | null;
}

const servedEvent = z.looseObject({
  sessionId: z.string().optional(),
  userId: z.string().optional(),
  type: z.string().optional(),
  name: z.string().optional(),
  properties: z.unknown().optional(),
  session: z.object({ deviceType: z.string().optional(), browser: z.string().optional() }).optional(),
});

async function readRows(database: TestDatabase): Promise<TargetRow[]> {
  const { rows } = await database.query<TargetRow>(
    `SELECT id::text, session_id::text, user_id::text, type, name, properties::text,
            (extract(epoch FROM occurred_at) * 1000000)::bigint::text AS occurred_at, device_type, browser, extra::text
       FROM ingested_events`,
  );
  return rows;
}

/**
 * Every id that was served is one row, and no other. With `values`, every value of it too: for data sets without
 * anything nasty in them.
 */
export async function assertExact(
  database: TestDatabase,
  simulator: Simulator,
  { values = true }: { readonly values?: boolean } = {},
): Promise<void> {
  const rows = new Map((await readRows(database)).map((row) => [row.id, row]));
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (const event of simulator.truth()) {
    if (event.id === null || seen.has(event.id)) continue;
    seen.add(event.id);
    const row = rows.get(event.id);
    if (row === undefined) {
      wrong.push(`${event.id} is missing`);
      continue;
    }
    if (!values) continue;
    const problem = compare(row, Buffer.from(event.raw).toString(), event.occurredAtMicros);
    if (problem !== null) wrong.push(`${event.id}: ${problem}`);
  }
  for (const id of rows.keys()) if (!seen.has(id)) wrong.push(`${id} was never served`);
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${seen.size} events are wrong`);
  assert.equal(rows.size, seen.size);
}

function compare(row: TargetRow, raw: string, occurredAtMicros: number | null): string | null {
  const served = servedEvent.parse(JSON.parse(raw));
  const expected = {
    session_id: served.sessionId ?? null,
    user_id: served.userId ?? null,
    type: served.type ?? null,
    name: served.name ?? null,
    properties: served.properties ?? null,
    occurred_at: occurredAtMicros === null ? null : String(occurredAtMicros),
    device_type: served.session?.deviceType ?? null,
    browser: served.session?.browser ?? null,
  };
  const found = {
    session_id: row.session_id,
    user_id: row.user_id,
    type: row.type,
    name: row.name,
    properties: row.properties === null ? null : (JSON.parse(row.properties) as unknown),
    occurred_at: row.occurred_at,
    device_type: row.device_type,
    browser: row.browser,
  };
  try {
    assert.deepEqual(found, expected);
    return null;
  } catch {
    return `served ${raw}, found ${JSON.stringify(found)}`;
  }
}

export interface Books {
  readonly status: string;
  readonly pass: number;
  readonly pages: number;
  readonly served: number;
  readonly loaded: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly repaired: number;
  readonly servedTwiceInChain: number;
}

/** Of the newest run; checked to balance, and against the table and what staging must be when nothing runs: empty. */
export async function readBooks(database: TestDatabase): Promise<Books> {
  const { rows } = await database.query<{ [K in keyof Books]: string }>(
    `SELECT status, pass, pages, served, loaded, inserted, updated, duplicates, rejected, repaired,
            doubled_in_chain AS "servedTwiceInChain"
       FROM ingestion.run ORDER BY run_id DESC LIMIT 1`,
  );
  const [row] = rows;
  assert.ok(row !== undefined, 'there is no run');
  const { status, ...figures } = row;
  const numbers = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value)]));
  const books = z
    .object({
      pass: z.number(),
      pages: z.number(),
      served: z.number(),
      loaded: z.number(),
      inserted: z.number(),
      updated: z.number(),
      duplicates: z.number(),
      rejected: z.number(),
      repaired: z.number(),
      servedTwiceInChain: z.number(),
    })
    .parse(numbers);
  assert.equal(books.served, books.loaded + books.rejected, 'served = loaded + rejected');
  assert.equal(
    books.loaded,
    books.inserted + books.updated + books.duplicates,
    'loaded = inserted + updated + duplicates',
  );
  const staged = await database.query<{ n: string }>(
    'SELECT (SELECT count(*) FROM ingestion.staging_a) + (SELECT count(*) FROM ingestion.staging_b) AS n',
  );
  assert.equal(staged.rows[0]?.n, '0', 'staging is empty');
  return { status, ...books };
}
