/** `ingestion.anomaly`, for `npm run anomalies` and for `--max-rejected`; and how staged ones are written. */
import type { PoolClient } from 'pg';
import type { AnomalyKind, PageAnomaly } from '../../core/encoded-page.ts';
import type { Database } from '../postgres/database.ts';
import { stagingNames } from '../schema/staging.ts';
import type { StagingTable } from '../schema/staging.ts';

/** The index key of an anomaly is a hash, so these are only for the reader's sake. */
const MAX_REASON_CHARACTERS = 1_000;
const MAX_EVENT_ID_CHARACTERS = 200;

export interface Anomaly {
  readonly runId: number;
  readonly windowId: number;
  readonly page: number;
  readonly position: number;
  readonly eventId: string | null;
  readonly kind: AnomalyKind;
  readonly field: string;
  readonly reason: string;
  /** The event's exact bytes; for what only a merge refused, its row as JSON. */
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

/** Counts by kind, field and reason, most frequent first. */
export async function countAnomalies(db: Database, filter: AnomalyFilter = {}): Promise<AnomalyCount[]> {
  const { rows } = await db.query<{ kind: AnomalyKind; field: string; reason: string; count: string }>(
    `SELECT kind, field, reason, count(*) AS count FROM ingestion.anomaly
      WHERE ($1::bigint IS NULL OR run_id = $1) AND ($2::text IS NULL OR kind = $2)
      GROUP BY kind, field, reason ORDER BY count(*) DESC, kind, field, reason`,
    [filter.runId ?? null, filter.kind ?? null],
  );
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

/** Pages of anomalies in the order they were merged: memory stays flat however many there are. */
export async function* readAnomalies(
  db: Database,
  filter: AnomalyFilter = {},
  pageSize = 200,
): AsyncGenerator<Anomaly> {
  let after = '0';
  for (;;) {
    const { rows } = await db.query<Omit<Anomaly, 'runId' | 'windowId' | 'eventId'> & AnomalyRow>(
      `SELECT anomaly_id, run_id, window_id, page, position, event_id, kind, field, reason, original FROM ingestion.anomaly
        WHERE anomaly_id > $1 AND ($2::bigint IS NULL OR run_id = $2) AND ($3::text IS NULL OR kind = $3)
        ORDER BY anomaly_id LIMIT $4`,
      [after, filter.runId ?? null, filter.kind ?? null, pageSize],
    );
    for (const row of rows) {
      yield {
        runId: Number(row.run_id),
        windowId: row.window_id,
        page: row.page,
        position: row.position,
        eventId: row.event_id,
        kind: row.kind,
        field: row.field,
        reason: row.reason,
        original: row.original,
      };
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.anomaly_id;
  }
}

interface AnomalyRow {
  anomaly_id: string;
  run_id: string;
  window_id: number;
  event_id: string | null;
}

/** Different events (by their bytes) without a row that the run has merged so far, however often each was served. */
export async function rejectedCount(db: Database, runId: number): Promise<number> {
  const { rows } = await db.query<{ rejected: string }>(
    `SELECT count(DISTINCT sha256(original)) AS rejected FROM ingestion.anomaly WHERE kind = 'rejected' AND run_id = $1`,
    [runId],
  );
  return Number(rows[0]?.rejected ?? 0);
}

/** Stages the anomalies of one page, in the transaction of its rows. */
export async function stageAnomalies(
  client: PoolClient,
  table: StagingTable,
  place: { readonly runId: number; readonly windowId: number; readonly page: number },
  anomalies: readonly PageAnomaly[],
): Promise<void> {
  if (anomalies.length === 0) return;
  await client.query(
    `INSERT INTO ${stagingNames(table).anomalies}
       (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT $1, $2, $3, a.* FROM unnest($4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[]) a`,
    [
      place.runId,
      place.windowId,
      place.page,
      anomalies.map((anomaly) => anomaly.position),
      anomalies.map((anomaly) =>
        anomaly.eventId === null ? null : displayable(anomaly.eventId, MAX_EVENT_ID_CHARACTERS),
      ),
      anomalies.map((anomaly) => anomaly.kind),
      anomalies.map((anomaly) => displayable(anomaly.field, MAX_EVENT_ID_CHARACTERS)),
      anomalies.map((anomaly) => displayable(anomaly.reason, MAX_REASON_CHARACTERS)),
      anomalies.map((anomaly) =>
        Buffer.from(anomaly.original.buffer, anomaly.original.byteOffset, anomaly.original.byteLength),
      ),
    ],
  );
}

/** `text` as PostgreSQL can hold it, cut at a character: NUL and lone surrogates become U+FFFD. */
export function displayable(text: string, maxCharacters: number): string {
  const cut = text.length > maxCharacters ? text.slice(0, maxCharacters).replace(/[\uD800-\uDBFF]$/, '') : text;
  return cut.replaceAll(/\0|\p{Surrogate}/gu, '\uFFFD');
}
