/**
 * Finds the rows of a page that PostgreSQL refuses, by copying halves under savepoints. Slow, and only for pages that were
 * refused as a whole. PostgreSQL judges each row alone, so the result does not depend on how rows were batched.
 */
import pg from 'pg';
import type { PoolClient } from 'pg';
import type { EncodedPage, PageAnomaly } from '../../core/encoded-page.ts';
import { firstSourceOrder } from '../../core/state.ts';
import { quoteEvent } from '../../encode/encode-page.ts';
import { compilePlan, type CompiledPlan } from '../../encode/plan/compiled-plan.ts';
import { joinRows, readSourceOrder, splitRows } from '../../encode/rows/copy-rows.ts';
import { classifyDatabaseError } from '../postgres/database-errors.ts';
import type { Patience } from '../postgres/watchdog.ts';
import type { Source } from '../schema/source.ts';
import { copySql } from '../schema/staging.ts';
import { copyRows } from './copy-stream.ts';
import type { PageWithEvents } from './page-batch.ts';

interface RefusedRow {
  readonly position: number;
  readonly field: string;
  readonly reason: string;
}

/**
 * In a transaction: copies every row that PostgreSQL takes, with at most two COPYs a row.
 * @returns the refused rows as anomalies, with the events' exact bytes and PostgreSQL's own message.
 */
export async function copyAllButRefused(
  client: PoolClient,
  source: Source,
  { table, ledger, encoded }: PageWithEvents,
  patience: Patience,
): Promise<PageAnomaly[]> {
  const sql = copySql(source, table);
  const rows = new Uint8Array(encoded.rows, 0, encoded.rowsBytes);
  const offsets = splitRows(rows);
  const first = firstSourceOrder(ledger.windowId, ledger.page);
  const refused: RefusedRow[] = [];
  const copyRange = async (from: number, to: number): Promise<void> => {
    await client.query('SAVEPOINT part');
    try {
      const copied = await copyRows(client, sql, joinRows(rows, offsets, from, to), patience);
      if (copied !== to - from) throw new Error(`PostgreSQL took ${copied} of ${to - from} rows`);
      await client.query('RELEASE SAVEPOINT part');
    } catch (error) {
      if (classifyDatabaseError(error) !== 'data') throw error;
      await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part');
      if (to - from > 1) {
        const middle = from + Math.floor((to - from) / 2);
        await copyRange(from, middle);
        await copyRange(middle, to);
        return;
      }
      const position = Number(readSourceOrder(rows, offsets, from) - first);
      refused.push({ position, ...describeRefusal(error, source) });
    }
  };
  await copyRange(0, encoded.rowCount);
  const plan = compilePlan(source.target.plan);
  return refused.map((row) => quote(encoded, plan, row));
}

/** Column and message of a refusal, with the target's name in place of the staging table's: `a` and `b` must read the same. */
function describeRefusal(error: unknown, { target }: Source): { field: string; reason: string } {
  if (!(error instanceof pg.DatabaseError)) return { field: 'event', reason: String(error) };
  return {
    field: error.column ?? 'event',
    reason: error.message.replaceAll(/"staging_[ab]_\d+"/g, `"${target.name}"`),
  };
}

function quote({ body, bodyBytes, starts }: EncodedPage, plan: CompiledPlan, row: RefusedRow): PageAnomaly {
  const start = starts[row.position];
  if (start === undefined) throw new Error(`the page has no event at position ${row.position}`);
  return { kind: 'rejected', ...row, ...quoteEvent(new Uint8Array(body, 0, bodyBytes), start, plan) };
}
