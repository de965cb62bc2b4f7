/**
 * A column plan as the scan and the writing of rows look things up: each place in a record has a number, its field, and each
 * object that has fields a number too. Made once for all pages.
 */
import type { ColumnPlan, IdColumn, KeyPath, PlannedColumn, TimeFormat } from '../../core/column-plan.ts';
import { DATASYNC_PLAN } from './datasync-plan.ts';

/** Stands for a field that is not there, and for a key that is not known. */
export const NO_FIELD = -1;

/** What is usual for a field: the scan notes where it is so, and such a value is written without asking anything more of it. */
export const USUAL = {
  nothing: 0,
  /** A string without escapes. */
  text: 1,
  /** A UUID as PostgreSQL spells it. */
  uuid: 2,
  /** A time of a usual spelling: see TimeReader. */
  time: 3,
  /** Anything but a string. */
  json: 4,
} as const;

export interface CompiledField {
  readonly path: KeyPath;
  /** One of USUAL. */
  readonly usual: number;
  /** Of its times, if it has any. */
  readonly format: TimeFormat;
  /** Another field is the canonical one. */
  readonly isAlias: boolean;
  /** The field that it repeats, NO_FIELD if none. */
  readonly repeats: number;
  /** The object that it stands in. */
  readonly object: number;
}

export interface CompiledColumn {
  readonly name: string;
  readonly type: PlannedColumn['type'];
  /** See {@link PlannedColumn}. */
  readonly isLenient: boolean;
  /** The field of its path: what a rebuilt record has when `extra` says nothing else. NO_FIELD: it is a hash of the record. */
  readonly canonical: number;
  /** By precedence. */
  readonly aliases: readonly number[];
  /** The field that repeats it, NO_FIELD if none. */
  readonly repeatedAt: number;
}

export interface CompiledObject {
  /** The field that has it as its value; NO_FIELD for the record itself, which is the first object. */
  readonly field: number;
  /** Each known key, and its field. */
  readonly keys: readonly (readonly [string, number])[];
  /** It has a column of its own, or stands in one that has: so all of it is shown, or kept, as a whole. */
  readonly isCovered: boolean;
}

/** What may stand at a place of a page: a list of records, or an object on the way to one. */
export interface PagePlace {
  /** Of the list; 0 where none may stand. */
  readonly rank: number;
  readonly inside: ReadonlyMap<string, PagePlace>;
}

export interface CompiledPlan {
  readonly plan: ColumnPlan;
  /** The body itself. */
  readonly page: PagePlace;
  readonly fields: readonly CompiledField[];
  /** An object comes after the one that it stands in. */
  readonly objects: readonly CompiledObject[];
  readonly id: CompiledColumn;
  /** The others. */
  readonly columns: readonly CompiledColumn[];
  readonly time: CompiledColumn | null;
}

/** What every table has, or staging beside it. */
const OWN_COLUMNS = ['id', 'extra', 'ingested_at', 'source_order'];

/** @throws Error when columns have one name or place, or one is the record's hash that cannot, or the one with the time is not there */
export function compilePlan(plan: ColumnPlan): CompiledPlan {
  const names = [...OWN_COLUMNS, ...plan.columns.map(({ name }) => name)];
  const doubled = names.find((name, at) => names.indexOf(name) < at);
  if (doubled !== undefined) throw new Error(`two columns are called ${doubled}`);
  const places = new Places();
  const id = places.addColumn(plan.id);
  const columns = plan.columns.map((column) => places.addColumn(column));
  const time = plan.time === null ? null : columns.find(({ name }) => name === plan.time);
  if (time === undefined) throw new Error(`the plan has no column ${plan.time ?? ''}`);
  const { fields, objects } = places;
  return { plan, page: pagePlace(plan.records), fields, objects, id, columns, time };
}

/** The places in a record that the columns are read from. */
class Places {
  readonly fields: CompiledField[] = [];
  readonly #objects: { readonly field: number; readonly keys: [string, number][] }[] = [{ field: NO_FIELD, keys: [] }];
  readonly #known = new Map<string, number>();
  /** Fields that a column is read from. */
  readonly #taken = new Set<number>();
  /** The field of the key, which is added first. */
  #key: number | null = null;

  addColumn(column: PlannedColumn | IdColumn): CompiledColumn {
    const { name, type, path, aliases = [], repeatedAt, format = 'any', isLenient = false }: PlannedColumn = column;
    const add = (place: Pick<CompiledField, 'path'> & Partial<CompiledField>): number =>
      this.#addField({ isAlias: false, repeats: NO_FIELD, usual: usualOf(type), format, ...place });
    if (path.length === 0 && (name !== 'id' || type !== 'uuid'))
      throw new Error(`the column ${name} cannot be a hash of the record: only an id that is a uuid can`);
    // Of the record itself there is only its hash.
    const canonical = path.length === 0 ? NO_FIELD : add({ path });
    return {
      name,
      type,
      isLenient,
      canonical,
      aliases: aliases.map((alias) => add({ path: alias, isAlias: true })),
      repeatedAt: repeatedAt === undefined ? NO_FIELD : add({ path: repeatedAt, repeats: canonical }),
    };
  }

  get objects(): CompiledObject[] {
    const isTaken = (path: KeyPath): boolean => this.#taken.has(this.#known.get(JSON.stringify(path)) ?? NO_FIELD);
    return this.#objects.map(({ field, keys }) => {
      const path = this.fields[field]?.path ?? [];
      return { field, keys, isCovered: path.some((_, at) => isTaken(path.slice(0, at + 1))) };
    });
  }

  #addField(place: Omit<CompiledField, 'object'>): number {
    const field = this.#fieldAt(place.path);
    const taken = this.fields[field];
    if (taken !== undefined && this.#taken.has(field)) {
      if (field !== this.#key) throw new Error(`two columns are read from ${place.path.join('.')}`);
      // The key tells the time as well. The scan reads neither.
      this.fields[field] = { ...taken, usual: USUAL.nothing, format: place.format };
      return field;
    }
    this.#key ??= field;
    this.#taken.add(field);
    this.fields[field] = { ...place, object: this.fields[field]?.object ?? 0 };
    return field;
  }

  #fieldAt(path: KeyPath): number {
    const name = JSON.stringify(path);
    const found = this.#known.get(name);
    if (found !== undefined) return found;
    const object = this.#objectAt(path.slice(0, -1));
    const field = this.fields.push({ path, object, ...NO_COLUMN }) - 1;
    this.#known.set(name, field);
    this.#objects[object]?.keys.push([path.at(-1) ?? '', field]);
    return field;
  }

  #objectAt(path: KeyPath): number {
    const field = path.length === 0 ? NO_FIELD : this.#fieldAt(path);
    const found = this.#objects.findIndex((object) => object.field === field);
    return found === -1 ? this.#objects.push({ field, keys: [] }) - 1 : found;
  }
}

function pagePlace(records: ColumnPlan['records']): PagePlace {
  const keys = new Set(records.flatMap(({ path }) => path.slice(0, 1)));
  const under = (key: string): ColumnPlan['records'] =>
    records.filter(({ path }) => path[0] === key).map(({ path, rank }) => ({ path: path.slice(1), rank }));
  return {
    rank: records.find(({ path }) => path.length === 0)?.rank ?? 0,
    inside: new Map([...keys].map((key) => [key, pagePlace(under(key))])),
  };
}

/** Of a place that only objects are known at. */
const NO_COLUMN = { usual: USUAL.nothing, format: 'any', isAlias: false, repeats: NO_FIELD } as const;

function usualOf(type: PlannedColumn['type']): number {
  if (typeof type !== 'string') return USUAL.uuid;
  switch (type) {
    case 'text':
      return USUAL.text;
    case 'uuid':
      return USUAL.uuid;
    case 'timestamptz':
      return USUAL.time;
    case 'jsonb':
      return USUAL.json;
    case 'bigint':
    case 'numeric':
    case 'boolean':
      return USUAL.nothing;
  }
}

/** The one that is loaded unless another is named. */
export const DATASYNC = compilePlan(DATASYNC_PLAN);
