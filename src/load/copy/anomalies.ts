/** `ingestion.anomaly`: its readers for `npm run anomalies` and the limit of rejected events, and the writer of staged anomalies. */
import type { PoolClient } from 'pg';
import { CountsDisagreeError } from '../../core/errors.ts';
import type { AnomalyKind, PageAnomaly } from '../../core/encoded-page.ts';
import type { PagePlace } from '../../core/page-place.ts';
import type { Database } from '../postgres/database.ts';
import { oneRow, type Queryable } from '../postgres/one-row.ts';
import { isOf, type Source } from '../schema/source.ts';
import type { StagingNames } from '../schema/staging.ts';

/** Limits for the reader's sake: the index key of an anomaly is a hash. */
const MAX_REASON_CHARACTERS = 1_000;
const MAX_EVENT_ID_CHARACTERS = 200;
const READ_AT_ONCE = 200;
const MAX_LOOKED_AT_BYTES = 1024 * 1024;

export interface Anomaly extends PagePlace {
  readonly runId: number;
  readonly position: number;
  readonly eventId: string | null;
  readonly kind: AnomalyKind;
  readonly field: string;
  readonly reason: string;
  /** The event's exact bytes; for an event that only a merge refused, its row as JSON. */
  readonly original: Buffer;
}

export interface AnomalyCount {
  readonly kind: AnomalyKind;
  readonly field: string;
  readonly reason: string;
  readonly count: number;
}

export interface AnomalyFilter {
  /** Only of this run; all runs unless given. */
  readonly runId?: number;
  readonly kind?: AnomalyKind;
}

/** Anomalies of the runs of a source. */
const anomaliesOf = (source: Source, alias = ''): string =>
  `ingestion.anomaly${alias} WHERE run_id IN (SELECT run_id FROM ingestion.run WHERE ${isOf('run', source)})`;

/** Counts by kind, field and reason, most frequent first. */
export async function countAnomalies(db: Database, source: Source, filter: AnomalyFilter): Promise<AnomalyCount[]> {
  const { rows } = await db.query<AnomalyCount>(
    `SELECT kind, field, reason, count(*)::float8 AS count FROM ${anomaliesOf(source)}
        AND ($1::bigint IS NULL OR run_id = $1) AND ($2::text IS NULL OR kind = $2)
      GROUP BY kind, field, reason ORDER BY count(*) DESC, kind, field, reason`,
    [filter.runId ?? null, filter.kind ?? null],
  );
  return rows;
}

/** All anomalies in the order they were merged, read in pages: memory stays flat however many there are. */
export async function* readAnomalies(db: Database, source: Source, filter: AnomalyFilter): AsyncGenerator<Anomaly> {
  let after = '0';
  for (;;) {
    const { rows } = await db.query<Anomaly & { anomaly_id: string }>(
      `SELECT anomaly_id, run_id::float8 AS "runId", window_id AS "windowId", page, position, event_id AS "eventId", kind,
              field, reason, original
         FROM ${anomaliesOf(source)}
          AND anomaly_id > $1 AND ($2::bigint IS NULL OR run_id = $2) AND ($3::text IS NULL OR kind = $3)
        ORDER BY anomaly_id LIMIT $4`,
      [after, filter.runId ?? null, filter.kind ?? null, READ_AT_ONCE],
    );
    for (const { anomaly_id, ...anomaly } of rows) {
      after = anomaly_id;
      yield anomaly;
    }
    if (rows.length === 0) return;
  }
}

/** How many different events (by their bytes) without a row the run has merged so far, however often each was served. */
export async function rejectedCount(db: Database, runId: number): Promise<number> {
  const { rejected } = await oneRow<{ rejected: number }>(
    db,
    `SELECT count(DISTINCT sha256(original))::float8 AS rejected FROM ingestion.anomaly
      WHERE kind = 'rejected' AND run_id = $1`,
    [runId],
  );
  return rejected;
}

/**
 * Different events that a run has rejected and that have no row, and those of them that no run of its source before it had.
 * @param lastRunId of the source's runs from `runId` on that are counted together
 */
export async function countRejected(
  db: Queryable,
  source: Source,
  runId: number,
  lastRunId = runId,
): Promise<{ readonly fresh: number; readonly different: number }> {
  const { type } = await oneRow<{ type: string | null }>(
    db,
    `SELECT (SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = ${source.target.oid} AND attname = 'id') AS type`,
  );
  // Looked up one by one: a round of --follow rejects a few, and table and anomalies may have millions.
  return oneRow<{ fresh: number; different: number }>(
    db,
    `WITH mine AS MATERIALIZED (
       SELECT DISTINCT sha256(original) AS hash FROM ${anomaliesOf(source, ' a')}
          AND kind = 'rejected' AND run_id BETWEEN $1 AND $2
          AND NOT EXISTS (SELECT FROM ${source.target.sql} t WHERE ${SAME_ID[type ?? ''] ?? 't.id::text = a.event_id'})
     ) SELECT count(*)::float8 AS different, (count(*) FILTER (WHERE NOT EXISTS (
         SELECT FROM ${anomaliesOf(source)} AND kind = 'rejected' AND sha256(original) = mine.hash AND run_id < $1)))::float8 AS fresh
       FROM mine`,
    [runId, lastRunId],
  );
}

/** By the target's index, where its type is known: its row as `t`, the anomaly as `a`. */
const SAME_ID: Readonly<Record<string, string>> = {
  text: 't.id = a.event_id',
  uuid: `t.id = CASE WHEN a.event_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN a.event_id::uuid END`,
};

/** Why events of a run were rejected, and one of them. */
export interface Rejection {
  readonly field: string;
  readonly reason: string;
  /** Different events, by their bytes. */
  readonly count: number;
  /** The first one's bytes; `null` when they are too many to be looked at. */
  readonly original: Buffer | null;
}

/** The reasons for which most events of a run were rejected. */
export async function commonestRejections(db: Database, runId: number, limit: number): Promise<Rejection[]> {
  const { rows } = await db.query<Rejection>(
    `SELECT r.field, r.reason, r.count,
            CASE WHEN octet_length(a.original) <= $3 THEN a.original END AS original
       FROM (SELECT field, reason, count(*)::float8 AS count, min(anomaly_id) AS first FROM ingestion.anomaly
              WHERE kind = 'rejected' AND run_id = $1
              GROUP BY field, reason ORDER BY count(*) DESC, field, reason LIMIT $2) r
       JOIN ingestion.anomaly a ON a.anomaly_id = r.first
      ORDER BY r.count DESC, r.field, r.reason`,
    [runId, limit, MAX_LOOKED_AT_BYTES],
  );
  return rows;
}

/** Stages the anomalies of one page, in the transaction of its rows. */
export async function stageAnomalies(
  client: PoolClient,
  names: StagingNames,
  runId: number,
  { windowId, page }: PagePlace,
  anomalies: readonly PageAnomaly[],
): Promise<void> {
  if (anomalies.length === 0) return;
  await client.query(
    `INSERT INTO ${names.anomalies}
       (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT $1, $2, $3, a.* FROM unnest($4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[]) a`,
    [
      runId,
      windowId,
      page,
      anomalies.map(({ position }) => position),
      anomalies.map(({ eventId }) => (eventId === null ? null : displayable(eventId, MAX_EVENT_ID_CHARACTERS))),
      anomalies.map(({ kind }) => kind),
      anomalies.map(({ field }) => displayable(field, MAX_EVENT_ID_CHARACTERS)),
      anomalies.map(({ reason }) => displayable(reason, MAX_REASON_CHARACTERS)),
      anomalies.map(({ original }) => Buffer.from(original.buffer, original.byteOffset, original.byteLength)),
    ],
  );
}

/**
 * Keeps each anomaly once, however often it was served: at the place that was merged first.
 * @throws CountsDisagreeError when rejected events would be neither row nor anomaly
 */
export async function moveAnomalies(client: PoolClient, names: StagingNames): Promise<void> {
  await client.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT run_id, window_id, page, position, event_id, kind, field, reason, original FROM ${names.anomalies}
      ORDER BY run_id, window_id, page, position
     ON CONFLICT (run_id, sha256(original), md5(field), md5(reason)) DO NOTHING`,
  );
  const { missed } = await oneRow<{ missed: number }>(
    client,
    `SELECT count(*)::int AS missed FROM ${names.anomalies} s
      WHERE kind = 'rejected' AND NOT EXISTS (
        SELECT FROM ingestion.anomaly a
         WHERE a.run_id = s.run_id AND sha256(a.original) = sha256(s.original)
           AND md5(a.field) = md5(s.field) AND md5(a.reason) = md5(s.reason))`,
  );
  if (missed === 0) return;
  throw new CountsDisagreeError(
    `ingestion.anomaly did not take ${missed} rejected events of a merge: a trigger on it leaves them out, or changes them. Nothing of ` +
      'that merge was kept, and what it was to move waits in staging: drop the trigger, then start again.',
  );
}

/** `text` as PostgreSQL can hold it, cut at a character: NUL and lone surrogates become U+FFFD. */
export function displayable(text: string, maxCharacters = Infinity): string {
  const cut = text.length > maxCharacters ? text.slice(0, maxCharacters).replace(/[\uD800-\uDBFF]$/, '') : text;
  return cut.replaceAll(/\0|\p{Surrogate}/gu, '\uFFFD');
}
