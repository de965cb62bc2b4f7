/**
 * How the records of a source become rows of its table: data and nothing else, so that it crosses threads. The encoder is
 * driven by it, and the tables are made of it.
 */

/** Keys from the record to a value. */
export type KeyPath = readonly string[];

export type ColumnType = 'text' | 'uuid' | 'bigint' | 'numeric' | 'boolean' | 'timestamptz' | 'jsonb';

/** How a time is spelled: ISO 8601, seconds or milliseconds since 1970; `any`: each value tells it by itself. */
export type TimeFormat = 'any' | 'iso' | 's' | 'ms';

export interface PlannedColumn {
  readonly name: string;
  /** Or the first records decide, between uuid and text: the decision is kept under this name (see {@link IdColumnTypes}). */
  readonly type: ColumnType | { readonly decidedBy: string };
  readonly path: KeyPath;
  /** Of a timestamptz; `any` unless given. */
  readonly format?: TimeFormat;
  /** A value that does not fit goes into `extra` as it always does, and nobody is told: such values are usual here. */
  readonly isLenient?: boolean;
  /** Where its value is instead, by precedence, in records that have none at `path`. */
  readonly aliases?: readonly KeyPath[];
  /** Where records that keep to the rule have its value once more. */
  readonly repeatedAt?: KeyPath;
}

/** Where the list of a page's records may be. Of several the one of the highest rank counts; `[]`: the body is the list. */
export interface RecordsPlace {
  readonly path: KeyPath;
  /** From 1. */
  readonly rank: number;
}

export interface IdColumn extends Pick<PlannedColumn, 'path' | 'aliases'> {
  readonly name: 'id';
  readonly type: 'text' | 'uuid' | 'bigint' | { readonly decidedBy: string };
}

export interface ColumnPlan {
  /** What a page says of itself is read in DataSync's words, or quoted: its description says what it means. */
  readonly envelope: 'read' | 'quoted';
  readonly records: readonly RecordsPlace[];
  /** The key of the table, `id`: text, uuid or bigint. With the path `[]` it is a hash of the record's bytes, a uuid. */
  readonly id: IdColumn;
  /** The others, in the order of the table. Everything of a record that no column shows goes into `extra`, a jsonb. */
  readonly columns: readonly PlannedColumn[];
  /** The column that tells when a record was, a timestamptz; `null`: none does. */
  readonly time: string | null;
  /** The column by which `update` knows the newer of two records with one id; `null`: the one that was served later is newer. */
  readonly version: string | null;
  /** The list has its oldest record first, and is walked over −t: see walk-time.ts. */
  readonly isOldestFirst?: boolean;
}
