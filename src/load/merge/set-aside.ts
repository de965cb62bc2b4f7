/** Staged rows that do not get into the target are kept as anomalies, and noted so that no later round tries them. */
import type { PoolClient } from 'pg';
import { compilePlan } from '../../encode/plan/compiled-plan.ts';
import { rebuildEvent, type StoredEvent } from '../../encode/rows/event-rebuilding.ts';
import { displayable } from '../copy/anomalies.ts';
import { ownRelation } from '../schema/source.ts';
import { PAGE_OF, POSITION_OF, stagedEvent, WINDOW_OF, type MergeScope } from './merge-sql.ts';
import { REFUSAL, candidatesOf, refusedOf } from './row-by-row.ts';

/** The rows that got no place in the target: `tid`, `id` and the `round` that tried them. */
export const leftOutOf = ({ source }: MergeScope): string => ownRelation(source, 'merge_left_out');

const MAX_MESSAGE_CHARACTERS = 800;
/** In portions, so that memory stays flat. */
const AT_ONCE = 500;

/**
 * Sets aside what the round has refused, and what triggers have skipped.
 * @param skipped ordinals of candidates
 * @returns how many rows
 */
export async function setAsideAll(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  skipped: readonly number[],
): Promise<number> {
  const { rows: refused } = await client.query<{ ordinal: number; reason: string }>(
    `SELECT ordinal, reason FROM ${refusedOf(scope)} ORDER BY ordinal`,
  );
  const triggers = scope.plan.watchedTriggers.join(', ');
  const all = [
    ...refused.map(({ ordinal, reason }) => ({
      ordinal,
      reason: `${REFUSAL}${displayable(reason, MAX_MESSAGE_CHARACTERS)}`,
    })),
    ...skipped.map((ordinal) => ({ ordinal, reason: `skipped by a trigger of the table (${triggers})` })),
  ];
  for (let at = 0; at < all.length; at += AT_ONCE) await setAside(client, scope, round, all.slice(at, at + AT_ONCE));
  return all.length;
}

async function setAside(
  client: PoolClient,
  scope: MergeScope,
  round: number,
  rows: readonly { readonly ordinal: number; readonly reason: string }[],
): Promise<void> {
  const ordinals = rows.map(({ ordinal }) => ordinal);
  const candidate = `JOIN ${candidatesOf(scope)} c USING (ordinal) JOIN ${scope.names.rows} s ON s.ctid = c.tid`;
  const { rows: stored } = await client.query<StoredEvent & { ordinal: number }>(
    `SELECT ordinal, ${stagedEvent(scope.source.target)} FROM unnest($1::int[]) AS ordinal ${candidate}`,
    [ordinals],
  );
  const plan = compilePlan(scope.source.target.plan);
  const originals = new Map(stored.map((row) => [row.ordinal, Buffer.from(rebuildEvent(row, plan))]));
  await client.query(
    `INSERT INTO ingestion.anomaly (run_id, window_id, page, position, event_id, kind, field, reason, original)
     SELECT $3::bigint, ${WINDOW_OF}, ${PAGE_OF}, ${POSITION_OF}, left(s.id::text, 200), 'rejected', 'event', kept.reason, kept.original
       FROM unnest($1::int[], $2::bytea[], $4::text[]) AS kept (ordinal, original, reason) ${candidate}
      ORDER BY ordinal ON CONFLICT DO NOTHING`,
    [
      ordinals,
      ordinals.map((ordinal) => originals.get(ordinal)),
      scope.runId,
      rows.map(({ reason }) => `${reason}; the original is rebuilt from its row`),
    ],
  );
  await client.query(
    `INSERT INTO ${leftOutOf(scope)} SELECT s.ctid, s.id, $2::int FROM unnest($1::int[]) AS ordinal ${candidate}`,
    [ordinals, round],
  );
}
