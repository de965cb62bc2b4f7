import type { IdColumnType, IdColumnTypes } from '../../core/encoded-page.ts';

/**
 * THE column list: the encoder writes these columns, COPY names them and the tables are made of them, in this order.
 * Binary rows carry no names, so a second list in another order would load values into wrong columns, without an error
 * wherever the types happen to agree.
 */

type FixedType = 'text' | 'jsonb' | 'timestamptz' | 'bigint';

export interface EventColumn {
  readonly name: string;
  /** A fixed PostgreSQL type, or which of the id types decides. */
  readonly type: FixedType | { readonly decidedBy: keyof IdColumnTypes };
  /** `public`: in `ingested_events` and staging. `staging`: only there. */
  readonly where: 'public' | 'staging';
}

/** Columns that the encoder writes, in the order of COPY. `ingested_at` is not among them: the merge sets it. */
export const COPY_COLUMNS = [
  { name: 'id', type: { decidedBy: 'id' }, where: 'public' },
  { name: 'session_id', type: { decidedBy: 'sessionId' }, where: 'public' },
  { name: 'user_id', type: { decidedBy: 'userId' }, where: 'public' },
  { name: 'type', type: 'text', where: 'public' },
  { name: 'name', type: 'text', where: 'public' },
  { name: 'properties', type: 'jsonb', where: 'public' },
  { name: 'occurred_at', type: 'timestamptz', where: 'public' },
  { name: 'device_type', type: 'text', where: 'public' },
  { name: 'browser', type: 'text', where: 'public' },
  { name: 'extra', type: 'jsonb', where: 'public' },
  // Packs window, page and position: tells which of two rows with one id was served later.
  { name: 'source_order', type: 'bigint', where: 'staging' },
] as const satisfies readonly EventColumn[];

export type CopyColumnName = (typeof COPY_COLUMNS)[number]['name'];

/** Columns of `ingested_events` that come from the event. */
export const EVENT_COLUMNS: readonly EventColumn[] = COPY_COLUMNS.filter((column) => column.where === 'public');

/** The PostgreSQL type of a column, ready for DDL. */
export function sqlType(column: EventColumn, types: IdColumnTypes): FixedType | IdColumnType {
  return typeof column.type === 'string' ? column.type : types[column.type.decidedBy];
}
