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
  type MergeScope,
  type MovedRows,
} from './merge-sql.ts';

const CANDIDATES = 'ingestion.merge_candidate';
const REFUSED = 'ingestion.merge_refused';
const MAX_MESSAGE_CHARACTERS = 800;

interface MovedAndRefused extends MovedRows {
  /** Staged rows. */
  readonly refused: number;
}

const NOTHING: MovedAndRefused = { inserted: 0, updated: 0, refused: 0 };

/** In the merge's transaction, before anything is moved. */
export async function mergeAllButRefused(client: PoolClient, scope: MergeScope): Promise<MovedAndRefused> {
  const { rows } = scope.names;
  // Rows are joined by their place below; the planner must know how many there are.
  await client.query(`ANALYZE ${rows}`);
  await client.query(`CREATE UNLOGGED TABLE ${REFUSED} AS SELECT ctid AS tid, id, 0 AS round FROM ${rows} LIMIT 0`);
  let sum = NOTHING;
  for (let round = 1; ; round += 1) {
    const candidates = await pickCandidates(client, scope, round);
    if (candidates === 0) break;
    const moved = await moveCandidates(client, scope, round, 1, candidates);
    await client.query(`DROP TABLE ${CANDIDATES}`);
    sum = add(sum, moved);
    if (moved.refused === 0) break;
  }
  await client.query(`DROP TABLE ${REFUSED}`);
  return sum;
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

/** Moves the candidates `from` to `to`, with at most two tries a row. */
async function moveCandidates(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  from: number,
  to: number,
): Promise<MovedAndRefused> {
  const insert = countedInsert(
    scope.onConflict,
    `SELECT ${STAGED_COLUMNS} FROM ${CANDIDATES} c JOIN ${scope.names.rows} s ON s.ctid = c.tid
      WHERE c.ordinal BETWEEN $1 AND $2 ORDER BY s.id`,
  );
  await client.query('SAVEPOINT part');
  try {
    const { rows } = await client.query<MovedRows>(insert, [from, to]);
    await client.query('RELEASE SAVEPOINT part');
    return { ...NOTHING, ...rows[0] };
  } catch (error) {
    if (classifyDatabaseError(error) !== 'data') throw error;
    await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part');
    if (from === to) {
      await setAside(client, scope, round, from, error);
      return { ...NOTHING, refused: 1 };
    }
    const middle = from + Math.floor((to - from) / 2);
    const lower = await moveCandidates(client, scope, round, from, middle);
    return add(lower, await moveCandidates(client, scope, round, middle + 1, to));
  }
}

async function setAside(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  ordinal: number,
  error: unknown,
): Promise<void> {
  const candidate = `FROM ${CANDIDATES} c JOIN ${scope.names.rows} s ON s.ctid = c.tid WHERE c.ordinal = $1`;
  const message = displayable(describeRefusal(error).reason, MAX_MESSAGE_CHARACTERS);
  const event = await client.query<StoredEvent>(`SELECT ${STAGED_EVENT} ${candidate}`, [ordinal]);
  const original = event.rows.map((row) => Buffer.from(rebuildEvent(row)));
  await client.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT $2::bigint, ${WINDOW_OF}, ${PAGE_OF}, ${POSITION_OF}, left(s.id::text, 200), 'rejected', 'event', $3::text, $4::bytea
       ${candidate} ON CONFLICT DO NOTHING`,
    [ordinal, scope.runId, `refused by the merge: ${message}; the original is rebuilt from its row`, original[0]],
  );
  await client.query(`INSERT INTO ${REFUSED} SELECT s.ctid, s.id, $2::int ${candidate}`, [ordinal, round]);
}

function add(one: MovedAndRefused, other: MovedAndRefused): MovedAndRefused {
  return {
    inserted: one.inserted + other.inserted,
    updated: one.updated + other.updated,
    refused: one.refused + other.refused,
  };
}
