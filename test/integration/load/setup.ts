/** A job's loading side without the job: database, claim, run, and pages made of events. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { ColumnPlan } from '../../../src/core/column-plan.ts';
import type { IdColumnTypes } from '../../../src/core/encoded-page.ts';
import { NO_PLACES, firstSourceOrder, type LedgerEntry } from '../../../src/core/state.ts';
import { encodePage } from '../../../src/encode/encode-page.ts';
import { compilePlan } from '../../../src/encode/plan/compiled-plan.ts';
import { DATASYNC_PLAN } from '../../../src/encode/plan/datasync-plan.ts';
import { CopyLoader } from '../../../src/load/copy/copy-loader.ts';
import type { PageWithEvents } from '../../../src/load/copy/page-batch.ts';
import { Merger } from '../../../src/load/merge/merge.ts';
import type { OnConflict } from '../../../src/load/schema/target-plan.ts';
import { claimTarget } from '../../../src/load/state/owner.ts';
import type { Ownership } from '../../../src/load/state/owner.ts';
import { Database } from '../../../src/load/postgres/database.ts';
import type { DatabaseOptions } from '../../../src/load/postgres/database.ts';
import { ensureTarget } from '../../../src/load/schema/ingested-events.ts';
import { migrate } from '../../../src/load/schema/migrate.ts';
import { registerSource, type Source } from '../../../src/load/schema/source.ts';
import type { StagingTable } from '../../../src/load/schema/staging.ts';
import { FROM_THE_START } from '../../../src/load/state/run-changes.ts';
import { StateStore } from '../../../src/load/state/state-store.ts';
import type { NewRun } from '../../../src/load/state/run-changes.ts';
import { testDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { DATASYNC, ofSource } from '../../support/datasync.ts';

export const SILENT = pino({ level: 'silent' });
export const TEXT_IDS: IdColumnTypes = { id: 'text', sessionId: 'text', userId: 'text' };
export const UUID_IDS: IdColumnTypes = { id: 'uuid', sessionId: 'uuid', userId: 'uuid' };
export const SOURCE = { source: 'http://127.0.0.1/api/v1', sinceMs: null, untilMs: null };

export interface TestEvent {
  readonly id: string;
  readonly timestamp?: number | string;
  readonly name?: string;
  readonly [field: string]: unknown;
}

export interface PageOptions {
  readonly window?: number;
  readonly page?: number;
  readonly table?: StagingTable;
  readonly types?: IdColumnTypes;
  /** Of another source than DataSync. */
  readonly plan?: ColumnPlan;
  readonly ledger?: Partial<LedgerEntry>;
}

/** One page as a worker would hand it back; an event as a text is its exact JSON. */
export function pageOf(events: readonly (TestEvent | string)[], options: PageOptions = {}): PageWithEvents {
  const { window = 1, page = 1, table = 'a', types = TEXT_IDS, plan = DATASYNC_PLAN } = options;
  const body = new TextEncoder().encode(
    `{"data":[${events.map((event) => (typeof event === 'string' ? event : JSON.stringify(event))).join(',')}]}`,
  );
  const encoded = encodePage(body, {
    plan: compilePlan(plan),
    idColumnTypes: types,
    firstSourceOrder: firstSourceOrder(window, page),
    maxEventBytes: 1 << 20,
  });
  if ('fault' in encoded) assert.fail(encoded.detail);
  return {
    table,
    encoded: { ...encoded, body: body.buffer, bodyBytes: body.byteLength, decodeMs: 0, encodeMs: 0 },
    ledger: {
      windowId: window,
      page,
      nextCursor: `cursor-${window}-${page}`,
      cursorReceivedAtMs: 1000 + page,
      cursorFrom: 'stream',
      cursorLimit: null,
      anchorMs: 2000 + page,
      lastEventMs: 3000 + page,
      oldestMs: encoded.times?.oldestMs ?? null,
      endsWindow: false,
      isDoubtful: false,
      suspect: false,
      isContinued: page > 1,
      counts: { ...NO_PLACES, places: encoded.servedCount },
      edge: null,
      pageEndMs: null,
      served: encoded.servedCount,
      loaded: encoded.rowCount,
      rejected: encoded.rejectedCount,
      repaired: encoded.repairedCount,
      ...options.ledger,
    },
  };
}

/** Events with these ids, each with a time of its own. */
export function eventsOf(ids: readonly string[], rest: Partial<TestEvent> = {}): TestEvent[] {
  return ids.map((id, index) => ({ id, timestamp: 1_700_000_000_000 + index, ...rest }));
}

export function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(6, '0')}`);
}

export async function openDatabase(
  t: TestContext,
  url: string,
  options: Partial<DatabaseOptions> = {},
): Promise<Database> {
  const db = await Database.open({
    url,
    copyConnections: 2,
    applicationName: 'datasync-ingestion',
    logger: SILENT,
    maxWaitMs: 30_000,
    ...options,
  });
  t.after(() => db.close());
  return db;
}

/** The source datasync unless another is given, whose tables are made. */
export function claimAs(db: Database, host: string, pid: number, source: Source = DATASYNC): Promise<Ownership> {
  return claimTarget(db, { ...ofSource(source), host, pid, logger: SILENT });
}

export async function claim(t: TestContext, db: Database, source: Source = DATASYNC): Promise<Ownership> {
  const ownership = await claimAs(db, 'here', process.pid, source);
  t.after(() => ownership.release());
  return ownership;
}

export interface Loading {
  readonly database: TestDatabase;
  readonly db: Database;
  readonly ownership: Ownership;
  readonly store: StateStore;
  readonly loader: CopyLoader;
  readonly runId: number;
  readonly merger: (onConflict?: OnConflict) => Merger;
}

export interface LoadingOptions {
  /** Its name; `datasync` unless given. */
  readonly source?: string;
  readonly types?: IdColumnTypes;
  /** Something of somebody's hangs on the target, so that no other table takes its place. */
  readonly isTouched?: boolean;
  readonly windows?: NewRun['windows'];
  readonly watchdogMs?: number;
  readonly database?: TestDatabase;
  readonly open?: Partial<DatabaseOptions>;
  /** Where the job connects, when not straight to the database. */
  readonly url?: string;
}

/** A claimed target with a run of one window, ready for pages. */
export async function startLoading(t: TestContext, options: LoadingOptions = {}): Promise<Loading> {
  const database = options.database ?? (await testDatabase(t));
  const db = await openDatabase(t, options.url ?? database.url, options.open);
  await migrate(db, SILENT);
  const source = await registerSource(db, { name: options.source ?? DATASYNC.name });
  await ensureTarget(db, source, options.types ?? TEXT_IDS);
  if (options.isTouched === true) await database.query(`COMMENT ON TABLE ${source.target.sql} IS 'of somebody'`);
  const ownership = await claim(t, db, source);
  const store = new StateStore(db, ownership);
  const windows: NewRun['windows'] = options.windows ?? [{ sinceMs: null, untilMs: null }];
  const run = (await store.currentRun()) ?? (await store.createRun(SOURCE, { ...FROM_THE_START, windows }));
  const { runId } = run;
  const watchdog = options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs };
  return {
    database,
    db,
    ownership,
    store,
    runId,
    loader: new CopyLoader({ db, ownership, runId, logger: SILENT, ...watchdog }),
    merger: (onConflict = 'ignore') => new Merger({ db, ownership, runId, onConflict, logger: SILENT }),
  };
}

/** The whole target, by id. */
export async function targetRows(database: TestDatabase): Promise<{ id: string; name: string | null }[]> {
  const { rows } = await database.query<{ id: string; name: string | null }>(
    'SELECT id::text, name FROM ingested_events ORDER BY id',
  );
  return rows;
}

/** Waits until a query, asked again and again, gives a row; the test's own time limit is the bound. */
export async function eventually(
  database: TestDatabase,
  sql: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>> {
  for (;;) {
    const { rows } = await database.query<Record<string, unknown>>(sql, values);
    if (rows[0] !== undefined) return rows[0];
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
