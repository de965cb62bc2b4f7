/**
 * Moves rows into a target that is not empty: one INSERT … ON CONFLICT in the order of the key, so that PostgreSQL walks the
 * index once from left to right.
 */
import type { PoolClient } from 'pg';
import { oneRow } from '../postgres/one-row.ts';
import {
  stagedColumns,
  targetColumns,
  conflictClause,
  winnerFirst,
  type MergeScope,
  type MovedRows,
} from './merge-sql.ts';

/** No statistics are needed: the plan is a scan and a sort, whatever the planner believes. */
export async function mergeInOrder(client: PoolClient, scope: MergeScope): Promise<MovedRows> {
  const { names, onConflict, plan } = scope;
  const { target } = scope.source;
  const { sql } = target;
  const insert = `INSERT INTO ${sql} AS t (${targetColumns(target)})`;
  const inOrder = `${stagedColumns(target)} FROM ${names.rows} s ORDER BY s.id, ${winnerFirst(target, onConflict)} ${conflictClause(scope)}`;
  if (onConflict === 'ignore') {
    // Of two staged rows of one id the second conflicts with the first, as it would with any other row of the target.
    const { rowCount } = await client.query(`${insert} SELECT ${inOrder}`);
    return { inserted: rowCount ?? 0, updated: 0 };
  }
  // A new row has no `xmax`. A partitioned table does not return that: there the statement looks which ids were there when it began.
  const isNew = plan.returnsXmax ? 't.xmax = 0' : `NOT EXISTS (SELECT FROM ${sql} old WHERE old.id = t.id)`;
  // DO UPDATE may not touch a row twice, so only the best row of each id is moved.
  return oneRow<MovedRows>(
    client,
    `WITH moved AS (${insert} SELECT DISTINCT ON (s.id) ${inOrder} RETURNING ${isNew} AS is_new)
     SELECT count(*) FILTER (WHERE is_new)::int AS inserted, count(*) FILTER (WHERE NOT is_new)::int AS updated FROM moved`,
  );
}
