/**
 * Moves rows into a target that is not empty: one INSERT … ON CONFLICT in the order of the key, so that PostgreSQL walks the
 * index once from left to right.
 */
import type { PoolClient } from 'pg';
import { TARGET } from '../schema/target-facts.ts';
import {
  STAGED_COLUMNS,
  TARGET_COLUMNS,
  conflictClause,
  countedInsert,
  winnerFirst,
  type MergeScope,
  type MovedRows,
} from './merge-sql.ts';

/** No statistics are needed: the plan is a scan and a sort, whatever the planner believes. */
export async function mergeInOrder(client: PoolClient, scope: MergeScope): Promise<MovedRows> {
  const { names, onConflict } = scope;
  if (onConflict === 'ignore') {
    // Of two staged rows of one id the second conflicts with the first, as it would with any other row of the target.
    const { rowCount } = await client.query(
      `INSERT INTO ${TARGET} AS t (${TARGET_COLUMNS})
       SELECT ${STAGED_COLUMNS} FROM ${names.rows} s ORDER BY s.id, ${winnerFirst(onConflict)} ${conflictClause(scope)}`,
    );
    return { inserted: rowCount ?? 0, updated: 0 };
  }
  // DO UPDATE may not touch a row twice, so only the best row of each id is moved.
  const { rows } = await client.query<MovedRows>(
    countedInsert(
      scope,
      `SELECT DISTINCT ON (s.id) ${STAGED_COLUMNS} FROM ${names.rows} s ORDER BY s.id, ${winnerFirst(onConflict)}`,
    ),
  );
  return rows[0] ?? { inserted: 0, updated: 0 };
}
