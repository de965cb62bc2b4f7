/** A source with columns of its own: its table, its staging tables, what goes into them, and what comes of a refusal. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { ColumnPlan } from '../../../src/core/column-plan.ts';
import { CopyLoader } from '../../../src/load/copy/copy-loader.ts';
import { Merger } from '../../../src/load/merge/merge.ts';
import type { Database } from '../../../src/load/postgres/database.ts';
import { ensureTarget, refuseUnfitTarget } from '../../../src/load/schema/ingested-events.ts';
import { migrate } from '../../../src/load/schema/migrate.ts';
import { registerSource, type Source } from '../../../src/load/schema/source.ts';
import { claimTarget } from '../../../src/load/state/owner.ts';
import { FROM_THE_START } from '../../../src/load/state/run-changes.ts';
import { StateStore } from '../../../src/load/state/state-store.ts';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { openDatabase, pageOf, SILENT, SOURCE } from './setup.ts';

const ORDERS: ColumnPlan = {
  envelope: 'read',
  records: [{ path: ['data'], rank: 1 }],
  id: { name: 'id', type: 'bigint', path: ['number'] },
  columns: [
    { name: 'customer', type: 'uuid', path: ['customer', 'id'] },
    { name: 'total', type: 'numeric', path: ['total', 'amount'] },
    { name: 'is paid', type: 'boolean', path: ['paid'] },
    { name: 'created', type: 'timestamptz', path: ['created'], format: 's' },
    { name: 'revision', type: 'bigint', path: ['revision'] },
    { name: 'note', type: 'text', path: ['note'] },
    { name: 'lines', type: 'jsonb', path: ['lines'] },
  ],
  time: 'created',
  version: 'revision',
};

const CUSTOMER = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';

interface OrdersLoading {
  readonly database: TestDatabase;
  readonly db: Database;
  readonly source: Source;
  /** Loads and merges one page of orders, each its JSON. @returns what was counted */
  readonly load: (page: number, orders: readonly string[]) => Promise<Awaited<ReturnType<Merger['merge']>>>;
}

async function startOrders(t: TestContext, prepared = ''): Promise<OrdersLoading> {
  const database = await testDatabase(t);
  const db = await openDatabase(t, database.url);
  await migrate(db, SILENT);
  if (prepared !== '') await database.query(prepared);
  const source = await registerSource(db, { name: 'web-orders', plan: ORDERS });
  await ensureTarget(db, source, {}, 'update');
  const ownership = await claimTarget(db, {
    name: source.name,
    host: 'here',
    pid: process.pid,
    logger: SILENT,
    prepare: () => Promise.resolve(source),
  });
  t.after(() => ownership.release());
  const { runId } = await new StateStore(db, ownership).createRun(SOURCE, {
    ...FROM_THE_START,
    windows: [{ sinceMs: null, untilMs: null }],
  });
  const loader = new CopyLoader({ db, ownership, runId, logger: SILENT });
  const merger = new Merger({ db, ownership, runId, onConflict: 'update', logger: SILENT });
  const load: OrdersLoading['load'] = async (page, orders) => {
    await loader.load(pageOf(orders, { page, plan: ORDERS, types: {} }));
    return merger.merge('a', 1);
  };
  return { database, db, source, load };
}

/** Every column as PostgreSQL prints it, but `ingested_at`. */
async function orders(database: TestDatabase): Promise<readonly unknown[]> {
  const { rows } = await database.query<{ row: unknown }>(
    `SELECT json_build_array(id::text, customer::text, total::text, "is paid"::text,
              to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), revision::text, note, lines::text, extra::text) AS row
       FROM public.web_orders ORDER BY id`,
  );
  return rows.map(({ row }) => row);
}

void test('a table of its own columns holds every value digit for digit', async (t) => {
  const { database, load } = await startOrders(t);
  const { inserted, isInitialMerge } = await load(1, [
    `{"number":9007199254740993,"customer":{"id":"${CUSTOMER}","tier":1.10},"total":{"amount":0.1000,"unit":"EUR"},"paid":true,` +
      '"created":1767225600.000005,"revision":-9223372036854775808,"note":"n\\u00e9","lines":[{"price":1e2}]}',
    `{"number":2,"total":{"amount":1e400},"created":0,"paid":false}`,
    '{"number":3,"total":{"amount":-12345678901234567890.00012}}',
    '{"number":4,"total":{"amount":"12.50"}}',
    '{"number":5,"total":{"amount":1.5E-7}}',
    '{"number":6,"total":{"amount":-0.0}}',
  ]);
  assert.deepEqual([inserted, isInitialMerge], [6, true]);
  const total = (id: string, amount: string, extra: string | null = null): unknown[] => [
    ...[id, null, amount, null, null, null, null, null, extra],
  ];
  assert.deepEqual(await orders(database), [
    ['2', null, `1${'0'.repeat(400)}`, 'false', '1970-01-01 00:00:00.000000', null, null, null, null],
    total('3', '-12345678901234567890.00012'),
    total('4', '12.50', '{"total": {"amount": "12.50"}}'),
    total('5', '0.00000015'),
    total('6', '0.0'),
    [
      ...['9007199254740993', CUSTOMER, '0.1000', 'true', '2026-01-01 00:00:00.000005', '-9223372036854775808', 'né'],
      ...['[{"price": 100}]', '{"total": {"unit": "EUR"}, "customer": {"tier": 1.10}}'],
    ],
  ]);
});

void test('the newer version of a record stays, whatever its time is, and a wrong type costs one value', async (t) => {
  const { database, load } = await startOrders(t);
  await load(1, ['{"number":1,"revision":2,"created":9,"note":"second"}', '{"number":1,"revision":1,"created":10}']);
  const later = await load(2, [
    '{"number":1,"revision":1,"created":99,"note":"first"}',
    '{"number":2,"revision":"x","paid":"yes"}',
    '{"revision":1}',
  ]);
  assert.deepEqual([later.inserted, later.updated, later.duplicates, later.rejected, later.repaired], [1, 0, 1, 1, 1]);
  const newest = await load(3, ['{"number":1,"revision":10,"note":"tenth"}']);
  assert.equal(newest.updated, 1);
  assert.deepEqual(await orders(database), [
    ['1', null, null, null, null, '10', 'tenth', null, null],
    ['2', null, null, null, null, null, null, null, '{"paid": "yes", "revision": "x"}'],
  ]);
  const { rows } = await database.query(
    "SELECT kind, field, reason, event_id, convert_from(original, 'UTF8') AS original FROM ingestion.anomaly ORDER BY field DESC",
  );
  const odd = '{"number":2,"revision":"x","paid":"yes"}';
  const note = { kind: 'repaired', reason: 'value-of-another-type', event_id: '2', original: odd };
  assert.deepEqual(rows, [
    { ...note, field: 'revision' },
    { ...note, field: 'is paid' },
    { kind: 'rejected', field: 'id', reason: 'id-missing', event_id: null, original: '{"revision":1}' },
  ]);
});

void test('a record that the table refuses is set aside as it was', async (t) => {
  const { database, load } = await startOrders(
    t,
    `CREATE TABLE public.web_orders (id bigint PRIMARY KEY, customer uuid, total numeric CHECK (total < 100), "is paid" boolean,
       created timestamptz, revision bigint, note text, lines jsonb, extra jsonb)`,
  );
  const order = `{"number":7,"customer":{"id":"${CUSTOMER}"},"total":{"amount":100.10,"unit":"EUR"},"paid":true,"lines":null}`;
  const merged = await load(1, [order, '{"number":8}']);
  assert.deepEqual([merged.inserted, merged.rejected], [1, 1]);
  const { rows } = await database.query<{ original: string; reason: string }>(
    "SELECT reason, convert_from(original, 'UTF8') AS original FROM ingestion.anomaly",
  );
  assert.match(rows[0]?.reason ?? '', /violates check constraint/);
  assert.deepEqual(JSON.parse(rows[0]?.original ?? ''), JSON.parse(order));
  assert.match(rows[0]?.original ?? '', /"amount":100\.10,/);
});

void test('a table that lacks a column of the source, or has one of another type, is refused', async (t) => {
  const { db, source, database } = await startOrders(t);
  const { target } = source;
  for (const [change, why] of [
    ['ALTER TABLE web_orders DROP COLUMN revision', /its column revision is missing, not bigint/],
    ['ALTER TABLE web_orders ADD COLUMN revision numeric(5, 2)', /its column revision is numeric\(5,2\), not bigint/],
    ['ALTER TABLE web_orders DROP COLUMN revision, ADD COLUMN revision bigint', null],
    ['ALTER TABLE web_orders ALTER COLUMN id TYPE text', /its column id is text, not bigint/],
  ] as const) {
    await database.query(change);
    const looking = refuseUnfitTarget(db, target, 'update');
    await (why === null ? looking : assert.rejects(looking, { code: 'CONFIGURATION', message: why }));
  }
});
