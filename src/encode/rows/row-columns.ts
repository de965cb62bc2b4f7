import type { IdColumnTypes } from '../../core/encoded-page.ts';
import { type CompiledColumn, NO_FIELD } from '../plan/compiled-plan.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import type { FieldSlice } from '../scan/field-slice.ts';

/** How a value becomes the field of a row. */
export const WAY = {
  text: 0,
  idText: 1,
  uuid: 2,
  jsonb: 3,
  time: 4,
  bigint: 5,
  numeric: 6,
  boolean: 7,
  hash: 8,
} as const;

/** What a column shows of its field. */
export const SHOWN = { nothing: 0, partly: 1, all: 2 } as const;

/** A column of the plan, with the type that was decided for it, over the slices of a record. */
export class RowColumn {
  readonly name: string;
  /** One of WAY. */
  readonly way: number;
  /** See {@link CompiledColumn}. */
  readonly isLenient: boolean;
  readonly canonical: FieldSlice;
  readonly aliases: readonly FieldSlice[];
  readonly repeatedAt: FieldSlice | null;
  /** The object in which it is repeated; `null` where that is the record. */
  readonly repeatedIn: FieldSlice | null;
  /** One of SHOWN, of the record written last. */
  shown: number = SHOWN.nothing;

  constructor(column: CompiledColumn, slices: EventSlices, types: IdColumnTypes) {
    const { name, canonical, aliases, repeatedAt } = column;
    this.name = name;
    this.isLenient = column.isLenient;
    this.way = canonical === NO_FIELD ? WAY.hash : wayOf(column.type, types);
    this.canonical = slices.of(canonical);
    this.aliases = aliases.map((field) => slices.of(field));
    this.repeatedAt = repeatedAt === NO_FIELD ? null : slices.of(repeatedAt);
    const around = slices.plan.objects[this.repeatedAt?.object ?? 0]?.field ?? NO_FIELD;
    this.repeatedIn = around === NO_FIELD ? null : slices.of(around);
  }

  /** The first of its fields that is there and not null; where none is, the canonical one. */
  choose(): FieldSlice {
    if (this.canonical.hasValue) return this.canonical;
    for (const alias of this.aliases) {
      if (alias.hasValue) return alias;
    }
    return this.canonical;
  }
}

function wayOf(type: CompiledColumn['type'], types: IdColumnTypes): number {
  if (typeof type !== 'string') return types[type.decidedBy] === 'uuid' ? WAY.uuid : WAY.idText;
  switch (type) {
    case 'text':
      return WAY.text;
    case 'uuid':
      return WAY.uuid;
    case 'jsonb':
      return WAY.jsonb;
    case 'timestamptz':
      return WAY.time;
    case 'bigint':
      return WAY.bigint;
    case 'numeric':
      return WAY.numeric;
    case 'boolean':
      return WAY.boolean;
  }
}
