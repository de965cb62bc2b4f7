/** A target as a job would have left it, written by SQL: for commands that only read. */
import { FROM_THE_START } from '../../src/load/state/run-changes.ts';
import { StateStore } from '../../src/load/state/state-store.ts';
import { Database } from '../../src/load/postgres/database.ts';
import { claimTarget } from '../../src/load/state/owner.ts';
import type { Proof } from '../../src/core/state.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import { pino } from 'pino';
import type { TestDatabase } from './database.ts';
import { DATASYNC, ofSource } from './datasync.ts';

export interface StoredRunOptions {
  readonly source: string;
  readonly rows: number;
  readonly passTotal: number | null;
  readonly complete: boolean;
  /** Of a complete run; by default the API's count. `null`: none, as version 1.0.0 left its runs. */
  readonly proof?: Proof | null;
  readonly watermarkMs?: number;
  /** A job holds the target until this resolves. */
  readonly while?: () => Promise<void>;
}

const WINDOW_START_MS = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 86_400_000;

export function countProof(places: number): Proof {
  return {
    kind: 'count',
    places,
    expected: places,
    sentence: `${places} places were served, and the API counts ${places}`,
  };
}

/** Stores a run with two windows, the first of them complete. @returns its id */
export async function storeRun(database: TestDatabase, options: StoredRunOptions): Promise<number> {
  const logger = pino({ level: 'silent' });
  const db = await Database.open({
    url: database.url,
    copyConnections: 1,
    applicationName: 'datasync-ingestion',
    logger,
    maxWaitMs: 10_000,
  });
  try {
    await migrate(db, logger);
    await ensureTarget(db, DATASYNC, { id: 'text', sessionId: 'text', userId: 'text' });
    const ownership = await claimTarget(db, { ...ofSource(DATASYNC), host: 'here', pid: process.pid, logger });
    try {
      const store = new StateStore(db, ownership);
      const identity = { source: options.source, sinceMs: null, untilMs: null };
      const run = await store.createRun(identity, {
        ...FROM_THE_START,
        windows: [
          { sinceMs: WINDOW_START_MS + DAY_MS, untilMs: null },
          { sinceMs: null, untilMs: WINDOW_START_MS + DAY_MS },
        ],
      });
      await store.updateRun(run.runId, { passTotal: options.passTotal });
      await db.query('UPDATE ingestion.state SET complete = (window_id = 1 OR $2), safe_pages = 3 WHERE run_id = $1', [
        run.runId,
        options.complete,
      ]);
      await db.query(`INSERT INTO ingested_events (id) SELECT 'evt-' || n FROM generate_series(1, $1::int) n`, [
        options.rows,
      ]);
      await db.query(
        `UPDATE ingestion.run SET served = $2, loaded = $2, inserted = $2, pages = 6, last_merge_at = now() WHERE run_id = $1`,
        [run.runId, options.rows],
      );
      if (options.complete) {
        const { proof = countProof(options.rows), watermarkMs = null } = options;
        await store.updateRun(run.runId, { watermarkMs });
        await store.completeRun(run.runId, { proof: proof ?? countProof(options.rows) });
        await db.query('UPDATE ingestion.run SET proof = $2 WHERE run_id = $1', [run.runId, proof]);
        await db.query(`UPDATE ingestion.target_rows SET rows = (SELECT count(*) FROM ingested_events)`);
      }
      await options.while?.();
      return run.runId;
    } finally {
      await ownership.release();
    }
  } finally {
    await db.close();
  }
}

/** Stores an anomaly of a run, and counts it there. */
export async function storeAnomaly(
  database: TestDatabase,
  runId: number,
  anomaly: {
    readonly kind: 'rejected' | 'repaired';
    readonly field: string;
    readonly reason: string;
    readonly original: Buffer;
  },
): Promise<void> {
  await database.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
     VALUES ($1, 1, 1, 0, 'evt-x', $2, $3, $4, $5)`,
    [runId, anomaly.kind, anomaly.field, anomaly.reason, anomaly.original],
  );
  if (anomaly.kind !== 'rejected') return;
  await database.query('UPDATE ingestion.run SET served = served + 1, rejected = rejected + 1 WHERE run_id = $1', [
    runId,
  ]);
}

const WITH_LAST_ID = 'ADD COLUMN last_event_id text';
const PAGE_COLUMNS = [
  ...['cursor_from', 'cursor_limit', 'page_end_ms', 'edge_ms', 'edge_keys', 'doubtful'],
  ...['places', 'top_places', 'recent_places', 'unsure', 'repeated'],
];
const RUN_COLUMNS = [
  'places_known',
  'begun_by',
  'lookback_ms',
  'base_total',
  'base_recent',
  'recent_places',
  'came_again',
  'proof',
  'known_total',
];
/** To the schema before sources had state of their own. */
const STAGING = ['staging', 'staging_ledger', 'staging_anomaly'].flatMap((kind) => [`${kind}_a`, `${kind}_b`]);
const ONE_ROW = 'DROP COLUMN source_id, ADD COLUMN one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row)';
const TO_VERSION_3 = `
  ${STAGING.map((name) => `ALTER TABLE ingestion.${name}_1 RENAME TO ${name};`).join('\n')}
  ALTER TABLE ingestion.owner ${ONE_ROW};
  ALTER TABLE ingestion.staging_epoch ${ONE_ROW};
  ALTER TABLE ingestion.target_rows ${ONE_ROW};
  ALTER TABLE ingestion.run DROP COLUMN source_id;
  ALTER TABLE ingestion.state DROP COLUMN chain_served;
  CREATE UNIQUE INDEX run_one_running ON ingestion.run (status) WHERE status = 'running';
  DROP TABLE ingestion.source;
  CREATE TABLE ingestion.source (source text PRIMARY KEY, ordered_by_time boolean NOT NULL DEFAULT true,
    has_flag boolean NOT NULL DEFAULT false, failure_words text NOT NULL DEFAULT 'unknown');
  INSERT INTO ingestion.source (source) SELECT DISTINCT source FROM ingestion.run;
  DELETE FROM ingestion.schema_version WHERE version > 3`;
const TO_VERSION_2 = `
  ${['a', 'b']
    .map(
      (table) =>
        `ALTER TABLE ingestion.staging_ledger_${table} ${without(['continued', ...PAGE_COLUMNS])}, ${WITH_LAST_ID};`,
    )
    .join('\n')}
  ALTER TABLE ingestion.state ${without(['borders', 'repeating_borders', ...PAGE_COLUMNS])}, ${WITH_LAST_ID};
  ALTER TABLE ingestion.run ${without(RUN_COLUMNS)}, ADD COLUMN doubled_in_chain bigint NOT NULL DEFAULT 0;
  DROP TABLE ingestion.source, ingestion.target_rows, ingestion.served_keys;
  DELETE FROM ingestion.schema_version WHERE version > 2`;

/** The database as it was before sources had state of their own. */
export async function takeBackVersion4(database: TestDatabase): Promise<void> {
  await database.query(TO_VERSION_3);
}

/** The database as version 1.0.0 leaves it. */
export async function takeBackVersion3(database: TestDatabase): Promise<void> {
  await takeBackVersion4(database);
  await database.query(TO_VERSION_2);
}

function without(columns: readonly string[]): string {
  return columns.map((name) => `DROP COLUMN ${name}`).join(', ');
}
