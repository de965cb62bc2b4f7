/**
 * PostgreSQL refused the merge as a whole: a unique index on another column, a trigger, a foreign key, or a check that was
 * added later. Finds the rows that caused it, by moving halves under savepoints, sets them aside as anomalies and moves all
 * others.
 *
 * Each round tries the best row of each id, and the next round the next best of those that were refused. So what is refused
 * does not depend on how rows were batched.
 */
import type { PoolClient } from 'pg';
import { rebuildEvent, type StoredEvent } from '../../encode/rows/event-rebuilding.ts';
import { displayable } from '../copy/anomalies.ts';
import { describeRefusal } from '../copy/refused-in-copy.ts';
import { classifyDatabaseError } from '../postgres/database-errors.ts';
import {
  PAGE_OF,
  POSITION_OF,
  STAGED_EVENT,
  STAGED_COLUMNS,
  WINDOW_OF,
  countedInsert,
  winnerFirst,
} from './merge-sql.ts';
import type { MergeScope, MovedRows } from './merge-sql.ts';

const CANDIDATES = 'ingestion.merge_candidate';
const REFUSED = 'ingestion.merge_refused';
const MAX_MESSAGE_CHARACTERS = 800;

interface MovedAndRefused extends MovedRows {
  /** Staged rows. */
  readonly refused: number;
}

/** In the merge's transaction, before anything is moved. */
export async function mergeAllButRefused(client: PoolClient, scope: MergeScope): Promise<MovedAndRefused> {
  const { rows } = scope.names;
  // Rows are joined by their place below; the planner must know how many there are.
  await client.query(`ANALYZE ${rows}`);
  await client.query(`CREATE UNLOGGED TABLE ${REFUSED} AS SELECT ctid AS tid, id, 0 AS round FROM ${rows} LIMIT 0`);
  const sums = { inserted: 0, updated: 0, refused: 0 };
  for (let round = 1; ; round += 1) {
    const candidates = await pickCandidates(client, scope, round);
    if (candidates === 0) break;
    const part = new PartialMerge(client, scope, round);
    await part.move(1, candidates);
    await client.query(`DROP TABLE ${CANDIDATES}`);
    sums.inserted += part.inserted;
    sums.updated += part.updated;
    sums.refused += part.refused;
    if (part.refused === 0) break;
  }
  await client.query(`DROP TABLE ${REFUSED}`);
  return sums;
}

/**
 * Numbers the rows to try from 1: the best row of each id, and after the first round the best remaining row of each id that
 * the round before refused. @returns how many there are; with 0 there is no table of candidates
 */
async function pickCandidates(client: PoolClient, scope: MergeScope, round: number): Promise<number> {
  const again =
    round === 1
      ? ''
      : `WHERE s.id IN (SELECT id FROM ${REFUSED} WHERE round = ${round - 1}) AND s.ctid NOT IN (SELECT tid FROM ${REFUSED})`;
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${CANDIDATES} AS
     SELECT row_number() OVER (ORDER BY source_order)::int AS ordinal, tid FROM (
       SELECT DISTINCT ON (s.id) s.ctid AS tid, s.source_order FROM ${scope.names.rows} s ${again}
        ORDER BY s.id, ${winnerFirst(scope.onConflict)}
     ) best ORDER BY 1`,
  );
  if ((rowCount ?? 0) === 0) {
    await client.query(`DROP TABLE ${CANDIDATES}`);
    return 0;
  }
  await client.query(`CREATE INDEX ON ${CANDIDATES} (ordinal)`);
  await client.query(`ANALYZE ${CANDIDATES}`);
  return rowCount ?? 0;
}

class PartialMerge {
  inserted = 0;
  updated = 0;
  refused = 0;

  readonly #client: PoolClient;
  readonly #scope: MergeScope;
  readonly #round: number;
  readonly #insert: string;

  constructor(client: PoolClient, scope: MergeScope, round: number) {
    this.#client = client;
    this.#scope = scope;
    this.#round = round;
    this.#insert = countedInsert(
      scope.onConflict,
      `SELECT ${STAGED_COLUMNS} FROM ${CANDIDATES} c JOIN ${scope.names.rows} s ON s.ctid = c.tid
        WHERE c.ordinal BETWEEN $1 AND $2 ORDER BY s.id`,
    );
  }

  /** Moves the candidates `from` to `to`, with at most two tries a row. */
  async move(from: number, to: number): Promise<void> {
    const client = this.#client;
    await client.query('SAVEPOINT part');
    try {
      const { rows } = await client.query<MovedRows>(this.#insert, [from, to]);
      await client.query('RELEASE SAVEPOINT part');
      this.inserted += rows[0]?.inserted ?? 0;
      this.updated += rows[0]?.updated ?? 0;
    } catch (error) {
      if (classifyDatabaseError(error) !== 'data') throw error;
      await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part');
      if (from === to) {
        await this.#setAside(from, error);
        return;
      }
      const middle = from + Math.floor((to - from) / 2);
      await this.move(from, middle);
      await this.move(middle + 1, to);
    }
  }

  async #setAside(ordinal: number, error: unknown): Promise<void> {
    const { rows: staged } = this.#scope.names;
    const message = displayable(describeRefusal(error).reason, MAX_MESSAGE_CHARACTERS);
    const event = await this.#client.query<StoredEvent>(
      `SELECT ${STAGED_EVENT} FROM ${CANDIDATES} c JOIN ${staged} s ON s.ctid = c.tid WHERE c.ordinal = $1`,
      [ordinal],
    );
    const original = event.rows.map((row) => Buffer.from(rebuildEvent(row)));
    await this.#client.query(
      `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
       SELECT $2::bigint, ${WINDOW_OF}, ${PAGE_OF}, ${POSITION_OF}, left(s.id::text, 200), 'rejected', 'event', $3::text, $4::bytea
         FROM ${CANDIDATES} c JOIN ${staged} s ON s.ctid = c.tid WHERE c.ordinal = $1
       ON CONFLICT DO NOTHING`,
      [
        ordinal,
        this.#scope.runId,
        `refused by the merge: ${message}; the original is rebuilt from its row`,
        original[0],
      ],
    );
    await this.#client.query(
      `INSERT INTO ${REFUSED} SELECT s.ctid, s.id, $2::int FROM ${CANDIDATES} c JOIN ${staged} s ON s.ctid = c.tid
        WHERE c.ordinal = $1`,
      [ordinal, this.#round],
    );
    this.refused += 1;
  }
}
