/**
 * The slow way into the target, for rows that do not get there: PostgreSQL refused the merge as a whole (a unique index on
 * another column, a trigger, a foreign key, a check), or the target has triggers, which can skip rows without an error.
 *
 * Finds the refused rows by moving halves under savepoints, and the skipped ones by looking what is there. They are set
 * aside as anomalies, and all others are moved. Each round tries the best row of each id, and the next round the next best
 * of those that did not get there. So the result does not depend on how rows were batched.
 *
 * A row that would change nothing is not tried: its id has a row already, so it is a duplicate whatever the target thinks of
 * it now.
 */
import type { PoolClient } from 'pg';
import { displayable } from '../copy/anomalies.ts';
import { describeRefusal } from '../copy/refused-in-copy.ts';
import { classifyDatabaseError } from '../postgres/database-errors.ts';
import { TARGET } from '../schema/ingested-events.ts';
import {
  STAGED_COLUMNS,
  TARGET_COLUMNS,
  changesNothing,
  conflictClause,
  winnerFirst,
  type MergeScope,
  type MovedRows,
} from './merge-sql.ts';
import { CANDIDATES, LEFT_OUT, setAside } from './set-aside.ts';

const MAX_MESSAGE_CHARACTERS = 800;
/** Skipped rows are set aside in portions, so that memory stays flat. */
const SKIPPED_AT_ONCE = 500;

interface MovedAndRefused extends MovedRows {
  /** Staged rows, refused or skipped. */
  readonly refused: number;
}

const NOTHING: MovedAndRefused = { inserted: 0, updated: 0, refused: 0 };

/**
 * In the merge's transaction, before anything is moved.
 * @param triggers of the target, by which rows can be skipped: then what got there is counted in the target, not taken from
 *   the server's answers
 */
export async function mergeAllButRefused(
  client: PoolClient,
  scope: MergeScope,
  triggers: readonly string[],
): Promise<MovedAndRefused> {
  const { rows } = scope.names;
  const isWatched = triggers.length > 0;
  // Rows are joined by their place below; the planner must know how many there are.
  await client.query(`ANALYZE ${rows}`);
  await client.query(`CREATE UNLOGGED TABLE ${LEFT_OUT} AS SELECT ctid AS tid, id, 0 AS round FROM ${rows} LIMIT 0`);
  await client.query(`CREATE INDEX ON ${LEFT_OUT} (tid)`);
  let sum = NOTHING;
  for (let round = 1; ; round += 1) {
    const candidates = await pickCandidates(client, scope, round);
    if (candidates === 0) break;
    let moved = await moveCandidates(client, scope, round, 1, candidates);
    if (isWatched) moved = await countWhatIsThere(client, scope, round, moved, skippedBy(triggers));
    await client.query(`DROP TABLE ${CANDIDATES}`);
    sum = add(sum, moved);
    if (moved.refused === 0) break;
  }
  if (isWatched) await checkAllAreThere(client, scope);
  await client.query(`DROP TABLE ${LEFT_OUT}`);
  return sum;
}

/**
 * Numbers the rows to try from 1: the best row of each id, and after the first round the best remaining row of each id that
 * the round before left out. @returns how many there are; with 0 there is no table of candidates
 */
async function pickCandidates(client: PoolClient, scope: MergeScope, round: number): Promise<number> {
  const again =
    round === 1
      ? ''
      : `WHERE s.id IN (SELECT id FROM ${LEFT_OUT} WHERE round = ${round - 1}) AND s.ctid NOT IN (SELECT tid FROM ${LEFT_OUT})`;
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${CANDIDATES} AS
     SELECT row_number() OVER (ORDER BY s.source_order)::int AS ordinal, s.tid, s.id,
            EXISTS (SELECT FROM ${TARGET} t WHERE t.id = s.id) AS was_there
       FROM (
         SELECT DISTINCT ON (s.id) s.*, s.ctid AS tid FROM ${scope.names.rows} s ${again}
          ORDER BY s.id, ${winnerFirst(scope.onConflict)}
       ) s WHERE NOT EXISTS (SELECT FROM ${TARGET} t WHERE t.id = s.id AND ${changesNothing(scope.onConflict, 's')})
      ORDER BY 1`,
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
  // What is returned is told apart by what was there: a partitioned table cannot return `xmax`, and a trigger may insert too.
  const insert = `
    WITH moved AS (
      INSERT INTO ${TARGET} AS t (${TARGET_COLUMNS})
      SELECT ${STAGED_COLUMNS} FROM ${CANDIDATES} c JOIN ${scope.names.rows} s ON s.ctid = c.tid
       WHERE c.ordinal BETWEEN $1 AND $2 ORDER BY s.id ${conflictClause(scope.onConflict)}
      RETURNING t.id
    )
    SELECT count(*) FILTER (WHERE NOT was_there)::int AS inserted, count(*) FILTER (WHERE was_there)::int AS updated
      FROM ${CANDIDATES} c JOIN moved USING (id) WHERE c.ordinal BETWEEN $1 AND $2`;
  await client.query('SAVEPOINT part');
  try {
    const { rows } = await client.query<MovedRows>(insert, [from, to]);
    await client.query('RELEASE SAVEPOINT part');
    return { ...NOTHING, ...rows[0] };
  } catch (error) {
    if (classifyDatabaseError(error) !== 'data') throw error;
    await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part');
    if (from === to) {
      const message = displayable(describeRefusal(error).reason, MAX_MESSAGE_CHARACTERS);
      await setAside(client, scope, round, [from], `refused by the merge: ${message}`);
      return { ...NOTHING, refused: 1 };
    }
    const middle = from + Math.floor((to - from) / 2);
    const lower = await moveCandidates(client, scope, round, from, middle);
    return add(lower, await moveCandidates(client, scope, round, middle + 1, to));
  }
}

/** Sets candidates aside that were taken without an error and are not there, and counts those that are. */
async function countWhatIsThere(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  moved: MovedAndRefused,
  reason: string,
): Promise<MovedAndRefused> {
  // Looks once, and does not see what is set aside meanwhile.
  await client.query(
    `DECLARE skipped CURSOR FOR SELECT c.ordinal FROM ${CANDIDATES} c
      WHERE NOT EXISTS (SELECT FROM ${TARGET} t WHERE t.id = c.id)
        AND NOT EXISTS (SELECT FROM ${LEFT_OUT} l WHERE l.tid = c.tid)
      ORDER BY c.ordinal`,
  );
  let skipped = 0;
  for (;;) {
    const { rows } = await client.query<{ ordinal: number }>(`FETCH ${SKIPPED_AT_ONCE} FROM skipped`);
    if (rows.length === 0) break;
    skipped += rows.length;
    const ordinals = rows.map(({ ordinal }) => ordinal);
    await setAside(client, scope, round, ordinals, reason);
  }
  await client.query('CLOSE skipped');
  const { rows } = await client.query<{ inserted: number }>(
    `SELECT count(*)::int AS inserted FROM ${CANDIDATES} c
      WHERE NOT c.was_there AND EXISTS (SELECT FROM ${TARGET} t WHERE t.id = c.id)
        AND NOT EXISTS (SELECT FROM ${LEFT_OUT} l WHERE l.tid = c.tid)`,
  );
  return { ...moved, inserted: rows[0]?.inserted ?? 0, refused: moved.refused + skipped };
}

/** A trigger may also take out what an earlier round has moved: then the counts of the rounds are not true together. */
async function checkAllAreThere(client: PoolClient, scope: MergeScope): Promise<void> {
  const { rows } = await client.query<{ missing: number }>(
    `SELECT count(*)::int AS missing FROM ${scope.names.rows} s
      WHERE NOT EXISTS (SELECT FROM ${TARGET} t WHERE t.id = s.id)
        AND NOT EXISTS (SELECT FROM ${LEFT_OUT} l WHERE l.tid = s.ctid)`,
  );
  const missing = rows[0]?.missing ?? 0;
  if (missing === 0) return;
  throw new Error(`${missing} rows were moved into ${TARGET}, and a trigger took them out again: not merged`);
}

function add(one: MovedAndRefused, other: MovedAndRefused): MovedAndRefused {
  return {
    inserted: one.inserted + other.inserted,
    updated: one.updated + other.updated,
    refused: one.refused + other.refused,
  };
}

function skippedBy(triggers: readonly string[]): string {
  return `skipped by a trigger or rule of the table (${triggers.join(', ')})`;
}
