/**
 * The promise, checked from outside: every id and every value that the source has is in the table, nothing else is, and
 * the books say so too. Knows nothing of the program but the tables that its users see.
 */
import assert from 'node:assert/strict';
import pg from 'pg';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';

const ROWS_A_FETCH = 5_000;
/** So many differences are told: the first ones say what kind it is. */
const MAX_DIFFERENCES = 5;

const servedEvent = z.looseObject({
  sessionId: z.string().optional(),
  userId: z.string().optional(),
  type: z.string().optional(),
  name: z.string().optional(),
  properties: z.unknown().optional(),
  timestamp: z.unknown().optional(),
  session: z.object({ id: z.string(), deviceType: z.string(), browser: z.string() }).optional(),
});

interface TargetRow {
  id: string;
  session_id: string | null;
  user_id: string | null;
  type: string | null;
  name: string | null;
  properties: string | null;
  micros: string | null;
  device_type: string | null;
  browser: string | null;
  extra: string | null;
}

const READ_ROWS = `
  DECLARE all_rows NO SCROLL CURSOR FOR
   SELECT id::text, session_id::text, user_id::text, type, name, properties::text,
          round(extract(epoch FROM occurred_at) * 1000000)::bigint::text AS micros,
          device_type, browser, extra::text
     FROM ingested_events`;

interface ExpectedEvent {
  readonly micros: string | null;
  readonly raw: Uint8Array;
}

export interface Exactness {
  readonly rows: number;
  readonly rejected: number;
}

/**
 * Compares the whole table with the whole data set, and the books with both. For data sets without events that must be
 * repaired.
 * @throws AssertionError naming the first differences
 */
export async function assertExact(simulator: Simulator, databaseUrl: string): Promise<Exactness> {
  const expected = new Map<string, ExpectedEvent>();
  const unusable = new Set<string>();
  for (const { id, occurredAtMicros, raw } of simulator.truth()) {
    if (id === null) unusable.add(Buffer.from(raw).toString('utf8'));
    else expected.set(id, { micros: occurredAtMicros === null ? null : String(occurredAtMicros), raw });
  }
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'test' });
  await client.connect();
  try {
    const differences = await compareRows(client, expected);
    assert.deepEqual(differences, [], 'the table differs from the source');
    await assertBooks(client, { rows: expected.size, rejected: unusable.size });
  } finally {
    await client.end();
  }
  return { rows: expected.size, rejected: unusable.size };
}

async function compareRows(client: pg.Client, expected: ReadonlyMap<string, ExpectedEvent>): Promise<string[]> {
  const missing = new Map(expected);
  const differences: string[] = [];
  await client.query(`BEGIN; ${READ_ROWS}`);
  for (;;) {
    const { rows } = await client.query<TargetRow>(`FETCH ${ROWS_A_FETCH} FROM all_rows`);
    if (rows.length === 0) break;
    for (const row of rows) {
      const event = missing.get(row.id);
      // Gone from `missing`: there are two rows of one id, or one that nobody served.
      if (event === undefined) differences.push(`${row.id}: ${expected.has(row.id) ? 'twice' : 'not of the source'}`);
      else if (!isSame(row, event)) {
        differences.push(`${Buffer.from(event.raw).toString('utf8')} became ${JSON.stringify(row)}`);
      }
      missing.delete(row.id);
    }
  }
  await client.query('COMMIT');
  if (missing.size > 0) differences.push(`${missing.size} missing, such as ${[...missing.keys()].slice(0, 3).join()}`);
  return differences.slice(0, MAX_DIFFERENCES);
}

function isSame(row: TargetRow, { micros, raw }: ExpectedEvent): boolean {
  const event = servedEvent.parse(JSON.parse(Buffer.from(raw).toString('utf8')));
  const hasBadTime = micros === null && event.timestamp !== undefined;
  const expected = [
    [row.session_id, event.sessionId ?? null],
    [row.user_id, event.userId ?? null],
    [row.type, event.type ?? null],
    [row.name, event.name ?? null],
    [row.properties === null ? undefined : JSON.parse(row.properties), event.properties],
    [row.micros, micros],
    [row.device_type, event.session?.deviceType ?? null],
    [row.browser, event.session?.browser ?? null],
    // A time that is none is kept as it came.
    [row.extra === null ? null : JSON.parse(row.extra), hasBadTime ? { timestamp: event.timestamp } : null],
  ];
  return expected.every(([found, wanted]) => isDeepEqual(found, wanted));
}

function isDeepEqual(found: unknown, wanted: unknown): boolean {
  try {
    assert.deepStrictEqual(found, wanted);
    return true;
  } catch {
    return false;
  }
}

interface Books {
  unfinished: string;
  unbalanced: string;
  inserted: string;
  rejected: string;
  open_windows: string;
  staged: string;
  keyed: boolean;
}

/** The last run is complete, all books balance, nothing is left in staging, and the table has its key. */
async function assertBooks(client: pg.Client, { rows, rejected }: Exactness): Promise<void> {
  const { rows: found } = await client.query<Books>(`
    SELECT (SELECT count(*) FROM ingestion.run WHERE status = 'running') AS unfinished,
           (SELECT count(*) FROM ingestion.run
             WHERE served <> loaded + rejected OR loaded <> inserted + updated + duplicates) AS unbalanced,
           (SELECT sum(inserted) FROM ingestion.run) AS inserted,
           (SELECT count(DISTINCT original) FROM ingestion.anomaly WHERE kind = 'rejected') AS rejected,
           (SELECT count(*) FROM ingestion.state NATURAL JOIN ingestion.run
             WHERE status = 'complete' AND NOT complete) AS open_windows,
           (SELECT count(*) FROM ingestion.staging_a) + (SELECT count(*) FROM ingestion.staging_b)
             + (SELECT count(*) FROM ingestion.staging_ledger_a) + (SELECT count(*) FROM ingestion.staging_ledger_b)
             + (SELECT count(*) FROM ingestion.staging_anomaly_a) + (SELECT count(*) FROM ingestion.staging_anomaly_b)
             AS staged,
           EXISTS (SELECT FROM pg_index WHERE indrelid = 'ingested_events'::regclass AND indisprimary AND indisvalid)
             AS keyed`);
  assert.deepEqual(found, [
    {
      unfinished: '0',
      unbalanced: '0',
      inserted: String(rows),
      rejected: String(rejected),
      open_windows: '0',
      staged: '0',
      keyed: true,
    },
  ]);
}
