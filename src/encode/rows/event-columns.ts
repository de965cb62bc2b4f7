import type { ColumnPlan, ColumnType, PlannedColumn } from '../../core/column-plan.ts';
import type { IdColumnTypes } from '../../core/encoded-page.ts';
import { DATASYNC_PLAN } from '../plan/datasync-plan.ts';

/**
 * THE column list: the encoder writes these columns, COPY names them and the tables are made of them, in this order.
 * Binary rows carry no names, so a second list in another order would load values into wrong columns, without an error
 * wherever the types happen to agree.
 */
export type EventColumn = Pick<PlannedColumn, 'name' | 'type'>;

/** The columns of a source's table that come from its records. `ingested_at` is not among them: the merge sets it. */
export function eventColumns({ id, columns }: ColumnPlan): EventColumn[] {
  return [id, ...columns, { name: 'extra', type: 'jsonb' }];
}

/** Columns that the encoder writes, in the order of COPY. */
export function copyColumns(plan: ColumnPlan): EventColumn[] {
  // Packs window, page and position: tells which of two rows with one id was served later. In staging alone.
  return [...eventColumns(plan), { name: 'source_order', type: 'bigint' }];
}

/** Columns of `ingested_events` that come from the event. */
export const EVENT_COLUMNS = eventColumns(DATASYNC_PLAN);
/** See {@link copyColumns}. */
export const COPY_COLUMNS = copyColumns(DATASYNC_PLAN);

/** The columns whose types the first records decide. */
export function undecidedColumns({ id, columns }: ColumnPlan): (EventColumn & { readonly decidedBy: string })[] {
  return [id, ...columns].flatMap(({ name, type }) =>
    typeof type === 'string' ? [] : [{ name, type, decidedBy: type.decidedBy }],
  );
}

/** The PostgreSQL type of a column, ready for DDL. */
export function sqlType({ name, type }: EventColumn, types: IdColumnTypes): ColumnType {
  const decided = typeof type === 'string' ? type : types[type.decidedBy];
  if (decided === undefined) throw new Error(`the type of the column ${name} is not decided`);
  return decided;
}
