/** Compares what a simulator served with what is in the target: every id and every value, and the counts of the runs. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Simulator } from '../../src/simulator/simulator.ts';
import type { TestDatabase } from './database.ts';

/** How many differences a failure shows: enough to see what kind they are. */
const MAX_DIFFERENCES = 5;

const READ_ROWS = `
  SELECT id::text, session_id::text, user_id::text, type, name, properties,
         round(extract(epoch FROM occurred_at) * 1000000)::bigint::text AS micros, device_type, browser, extra
    FROM ingested_events`;

type TargetRow = Readonly<Record<string, unknown>> & { readonly id: string };

const servedEvent = z.looseObject({
  sessionId: z.string().optional(),
  userId: z.string().optional(),
  type: z.string().optional(),
  name: z.string().optional(),
  properties: z.unknown().optional(),
  session: z.object({ deviceType: z.string().optional(), browser: z.string().optional() }).optional(),
});

/**
 * Every id that was served is one row, and there is no other row. With `values`, every value is compared too: for data sets
 * without values that must be repaired.
 * @returns the number of rows
 */
export async function assertExact(
  { database, simulator }: { readonly database: TestDatabase; readonly simulator: Simulator },
  { values = true }: { readonly values?: boolean } = {},
): Promise<number> {
  const { rows } = await database.query<TargetRow>(READ_ROWS);
  const found = new Map(rows.map((row) => [row.id, row]));
  const served = new Set<string>();
  const wrong: string[] = [];
  for (const { id, occurredAtMicros, raw } of simulator.truth()) {
    if (id === null || served.has(id)) continue;
    served.add(id);
    const row = found.get(id);
    if (row === undefined) wrong.push(`${id} is missing`);
    else if (values && !isDeepStrictEqual(row, rowOf(id, occurredAtMicros, raw))) {
      wrong.push(`${Buffer.from(raw).toString()} became ${JSON.stringify(row)}`);
    }
  }
  for (const id of found.keys()) if (!served.has(id)) wrong.push(`${id} was never served`);
  assert.deepEqual(wrong.slice(0, MAX_DIFFERENCES), [], `${wrong.length} of ${served.size} events are wrong`);
  assert.equal(rows.length, served.size);
  return rows.length;
}

function rowOf(id: string, occurredAtMicros: number | null, raw: Uint8Array): TargetRow {
  const served = servedEvent.parse(JSON.parse(Buffer.from(raw).toString()));
  // Fields without a column are kept as they came, and so is an invalid time.
  const columns = [...Object.keys(servedEvent.shape), 'id', ...(occurredAtMicros === null ? [] : ['timestamp'])];
  const extra = Object.entries(served).filter(([name]) => !columns.includes(name));
  return {
    id,
    session_id: served.sessionId ?? null,
    user_id: served.userId ?? null,
    type: served.type ?? null,
    name: served.name ?? null,
    properties: served.properties ?? null,
    micros: occurredAtMicros === null ? null : String(occurredAtMicros),
    device_type: served.session?.deviceType ?? null,
    browser: served.session?.browser ?? null,
    extra: extra.length === 0 ? null : Object.fromEntries(extra),
  };
}

export interface RunCounts {
  readonly status: string;
  readonly pass: number;
  readonly served: number;
  readonly inserted: number;
  readonly updated: number;
  readonly duplicates: number;
  readonly rejected: number;
}

/** Reads the counts of the newest run, and checks {@link assertBalanced}. */
export async function readRunCounts(database: TestDatabase): Promise<RunCounts> {
  await assertBalanced(database);
  const { rows } = await database.query<RunCounts>(
    `SELECT status, pass, served::float8, inserted::float8, updated::float8, duplicates::float8, rejected::float8
       FROM ingestion.run ORDER BY run_id DESC LIMIT 1`,
  );
  return rows[0] ?? assert.fail('there is no run');
}

/** While no job runs, the counts of every run balance, and staging is empty. */
export async function assertBalanced(database: TestDatabase): Promise<void> {
  const unbalanced = await database.query(
    `SELECT * FROM ingestion.run
      WHERE served <> loaded + rejected OR loaded <> inserted + updated + duplicates`,
  );
  assert.deepEqual(unbalanced.rows, [], 'served = loaded + rejected, loaded = inserted + updated + duplicates');
  for (const kind of ['staging', 'staging_ledger', 'staging_anomaly']) {
    const rows = await database.number(
      `(SELECT count(*) FROM ingestion.${kind}_a_1) + (SELECT count(*) FROM ingestion.${kind}_b_1)`,
    );
    assert.equal(rows, 0, `${kind} is empty`);
  }
}
