import type { ColumnType } from '../../core/column-plan.ts';
import { type CompiledColumn, type CompiledPlan, DATASYNC, NO_FIELD } from '../plan/compiled-plan.ts';
import { EventSlices } from '../scan/event-slices.ts';
import { isString, KIND } from '../scan/fields.ts';
import { JsonCursor } from '../scan/json-cursor.ts';
import { decodeToString } from '../scan/json-strings.ts';
import type { MemberList } from '../scan/member-list.ts';
import { TimeReader } from '../../core/times.ts';

/** A row of a source's table: each column as PostgreSQL prints it (`column::text`; times with DateStyle ISO). */
export interface StoredEvent {
  readonly id: string;
  readonly extra: string | null;
}

/**
 * A row → the JSON text of its event. It differs from the event in white space, key order, doubled keys, the spelling of
 * times, UUIDs and (as jsonb normalises them) numbers, and in what an anomaly says was repaired. How to read `extra`:
 *
 * - the event had every member that is in `extra`;
 * - a column whose field is not in `extra` under any spelling gives the canonical one (`id`, `type`, `timestamp`);
 * - if `extra` has only another spelling (`eventId`) with the column's value, the event had no canonical one;
 * - what a column has once more (`session.id` is `sessionId`) is there, unless `extra` has it, or the column's own member: then
 *   the object had none;
 * - there was an object (`session`) if one of its columns is not null, or if it is in `extra`.
 */
export function rebuildEvent(row: StoredEvent, plan = DATASYNC): string {
  return new Rebuilding(row, plan).text();
}

/** What PostgreSQL prints of them is JSON. */
const AS_PRINTED: ReadonlySet<ColumnType> = new Set<ColumnType>(['jsonb', 'bigint', 'numeric', 'boolean']);

class Rebuilding {
  readonly #plan: CompiledPlan;
  readonly #row: ReadonlyMap<string, unknown>;
  readonly #extra: Uint8Array;
  readonly #slices: EventSlices;
  /** Of each object of the plan. */
  readonly #members: readonly string[][];

  constructor(row: StoredEvent, plan: CompiledPlan) {
    this.#plan = plan;
    this.#row = new Map<string, unknown>(Object.entries(row));
    this.#extra = new TextEncoder().encode(row.extra ?? '{}');
    this.#slices = new EventSlices(plan);
    this.#slices.read(new JsonCursor(this.#extra), 0);
    this.#members = plan.objects.map(() => []);
  }

  text(): string {
    const { id, columns, objects } = this.#plan;
    for (const column of [id, ...columns]) this.#addColumn(column);
    for (const field of this.#plan.fields.keys()) this.#addExtra(field);
    for (const [index] of objects.entries()) {
      if (!this.#isCovered(index)) this.#membersOf(index).push(...this.#textsOf(this.#slices.othersOf(index)));
    }
    for (const column of columns) this.#addRepeated(column);
    // An object comes after the one that it stands in.
    for (let index = objects.length - 1; index > 0; index -= 1) this.#addObject(index);
    return `{${this.#membersOf(0).join(',')}}`;
  }

  #addColumn(column: CompiledColumn): void {
    const { canonical, aliases } = column;
    const value = this.#valueOf(column);
    if (canonical === NO_FIELD || value === null || this.#isInExtra(canonical)) return;
    if (this.#isCovered(this.#objectOf(canonical))) return;
    const isOtherSpelling = aliases.some((alias) => this.#isSame(column, alias, value));
    if (!isOtherSpelling) this.#add(canonical, column, value);
  }

  #addRepeated(column: CompiledColumn): void {
    const { canonical, repeatedAt } = column;
    const value = this.#valueOf(column);
    if (repeatedAt === NO_FIELD || value === null || this.#isInExtra(canonical) || this.#isInExtra(repeatedAt)) return;
    if (this.#isThere(this.#objectOf(repeatedAt))) this.#add(repeatedAt, column, value);
  }

  #addExtra(field: number): void {
    const { kind, keyStart, memberEnd, object } = this.#slices.of(field);
    if (kind === KIND.absent || this.#isCovered(object)) return;
    const value = kind === KIND.object ? this.#plan.objects.findIndex((one) => one.field === field) : NO_FIELD;
    if (value !== NO_FIELD && !this.#isCovered(value)) return;
    this.#membersOf(object).push(this.#textOf(keyStart, memberEnd));
  }

  #addObject(index: number): void {
    const field = this.#plan.objects[index]?.field ?? NO_FIELD;
    if (!this.#isThere(index) || this.#isCovered(index)) return;
    const key = this.#plan.fields[field]?.path.at(-1) ?? '';
    this.#membersOf(this.#objectOf(field)).push(`${JSON.stringify(key)}:{${this.#membersOf(index).join(',')}}`);
  }

  /** Whether the event had the object. */
  #isThere(index: number): boolean {
    const field = this.#plan.objects[index]?.field ?? NO_FIELD;
    return this.#membersOf(index).length > 0 || this.#slices.of(field).kind === KIND.object;
  }

  /** A column has all of it, or `extra`. */
  #isCovered(index: number): boolean {
    return this.#plan.objects[index]?.isCovered === true;
  }

  #add(field: number, { type }: CompiledColumn, value: string): void {
    const key = this.#plan.fields[field]?.path.at(-1) ?? '';
    const text = typeof type === 'string' && AS_PRINTED.has(type) ? value : JSON.stringify(value);
    this.#membersOf(this.#objectOf(field)).push(`${JSON.stringify(key)}:${text}`);
  }

  #valueOf({ name }: CompiledColumn): string | null {
    const value = this.#row.get(name);
    return typeof value === 'string' ? value : null;
  }

  #isInExtra(field: number): boolean {
    return this.#slices.of(field).kind !== KIND.absent;
  }

  #membersOf(object: number): string[] {
    return this.#members[object] ?? [];
  }

  #objectOf(field: number): number {
    return this.#plan.fields[field]?.object ?? 0;
  }

  #isSame({ type }: CompiledColumn, field: number, value: string): boolean {
    const { kind, start, end } = this.#slices.of(field);
    if (!isString(kind) && kind !== KIND.number) return false;
    const extraValue = decodeToString(this.#extra, start, end);
    if (type === 'timestamptz') return isSameTime(extraValue, kind, value);
    // jsonb gives numbers back in another spelling: 1e3 as 1000.
    if (kind === KIND.number) return Number(extraValue) === Number(value);
    return extraValue === value || (type !== 'text' && isSameUuid(extraValue, value));
  }

  #textsOf(list: MemberList): string[] {
    return Array.from({ length: list.count }, (_, index) => this.#textOf(list.startOf(index), list.endOf(index)));
  }

  #textOf(start: number, end: number): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#extra.subarray(start, end));
  }
}

function isSameTime(extraValue: string, kind: number, columnText: string): boolean {
  const [extra, column] = [Buffer.from(extraValue), Buffer.from(columnText)];
  const [time, columnTime] = [new TimeReader(), new TimeReader()];
  const isTime = kind === KIND.number ? time.readNumber(extra, 0, extra.length) : time.readText(extra, 0, extra.length);
  return isTime && columnTime.readText(column, 0, column.length) && time.isSame(columnTime);
}

function isSameUuid(left: string, right: string): boolean {
  const digits = (text: string): string => text.replaceAll(/[-{}]/g, '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits(left)) && digits(left) === digits(right);
}
