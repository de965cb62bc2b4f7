/** The table of a described source: its columns, and where their values are in a record. */
import type { ColumnPlan, IdColumn, PlannedColumn } from '../core/column-plan.ts';
import type { Description } from './description.ts';
import { isSamePath, type KeyPath } from './kinds.ts';

/** Of a record's time, where no column of the description shows it: the first of these that is not taken. */
const TIME_COLUMNS = ['occurred_at', 'time_of_record'] as const;

export function planColumns({ records, id, time, order, version, columns }: Description): ColumnPlan {
  const named = Object.entries(columns).map(([name, { path, type }]): PlannedColumn => ({ name, path, type }));
  const others = named.filter(({ name }) => name !== 'id');
  const timed = time === undefined ? undefined : others.find(({ path }) => isSamePath(path, time.path));
  const planned = others.map((column) =>
    column === timed && time !== undefined && column.type === 'timestamptz'
      ? { ...column, format: time.format }
      : column,
  );
  const timeColumn = TIME_COLUMNS.find((name) => !(name in columns)) ?? TIME_COLUMNS[0];
  if (time !== undefined && timed === undefined) {
    planned.unshift({ name: timeColumn, type: 'timestamptz', path: time.path, format: time.format });
  }
  return {
    envelope: 'quoted',
    records: [{ path: records, rank: 1 }],
    id: { name: 'id', type: idType(columns['id']?.type, id), path: id ?? [] },
    columns: planned,
    time: time === undefined ? null : (timed?.name ?? timeColumn),
    version: version === undefined ? null : (planned.find(({ path }) => isSamePath(path, version))?.name ?? null),
    isOldestFirst: order === 'oldest-first',
  };
}

/** Without an id the key is a hash of the record, which is a uuid. */
function idType(said: Description['columns'][string]['type'] | undefined, id: KeyPath | undefined): IdColumn['type'] {
  if (id === undefined) return 'uuid';
  return said === 'uuid' || said === 'bigint' ? said : 'text';
}
