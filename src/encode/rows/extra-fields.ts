import { NO_FIELD } from '../plan/compiled-plan.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import type { FieldSlice } from '../scan/field-slice.ts';
import { type Repairs, repairJson } from '../scan/json-strings.ts';
import { MemberList } from '../scan/member-list.ts';
import type { CopyWriter } from './copy-writer.ts';

const ENCODER = new TextEncoder();
const CLOSE = ENCODER.encode('}');
const COMMA = ENCODER.encode(',');

/** What no column shows of one object of the plan. */
class ExtraObject {
  readonly kept = new MemberList();
  /** The object is there, be it as `{}`. */
  isKept = false;
  readonly others: MemberList;
  /** The objects that stand in it. */
  readonly nested: ExtraObject[] = [];
  /** Its key and its brace. */
  readonly opening: Uint8Array;

  constructor(others: MemberList, opening: Uint8Array) {
    this.others = others;
    this.opening = opening;
  }

  get hasContents(): boolean {
    if (this.isKept || this.kept.count > 0 || this.others.count > 0) return true;
    for (const object of this.nested) {
      if (object.hasContents) return true;
    }
    return false;
  }
}

/**
 * Gathers what goes into `extra` of one event, as the exact members of the body: every field that has no column, and
 * every field whose column does not say all of it. `event-rebuilding.ts` says what a field's presence here means.
 */
export class ExtraFields {
  readonly #slices: EventSlices;
  readonly #objects: readonly ExtraObject[];

  constructor(slices: EventSlices) {
    const { fields, objects } = slices.plan;
    this.#slices = slices;
    const made: ExtraObject[] = [];
    for (const [index, { field, isCovered }] of objects.entries()) {
      const key = fields[field]?.path.at(-1);
      const opening = key === undefined ? '{' : `${JSON.stringify(key)}:{`;
      const object = new ExtraObject(slices.othersOf(index), ENCODER.encode(opening));
      made.push(object);
      // What a column covers is not written. The others come after the one that they stand in.
      if (!isCovered) made[fields[field]?.object ?? NO_FIELD]?.nested.push(object);
    }
    this.#objects = made;
  }

  clear(): void {
    for (const object of this.#objects) {
      object.kept.clear();
      object.isKept = false;
    }
  }

  /** A field goes into `extra` as it is, at its place. */
  keep(slice: FieldSlice): void {
    this.#objects[slice.object]?.kept.add(slice.keyStart, slice.memberEnd);
  }

  /** An object of the plan is there, be it as `{}`: no column shows that the event had it. */
  keepObject(object: number): void {
    const extra = this.#objects[object];
    if (extra !== undefined) extra.isKept = true;
  }

  /** Writes the column `extra`: null when there is nothing. */
  write(writer: CopyWriter, body: Uint8Array, repairs: Repairs): void {
    const [record] = this.#objects;
    if (record?.hasContents !== true) {
      writer.null();
      return;
    }
    const startedAt = writer.startJsonb();
    writeObject(record, writer, body, this.#slices.unstorable ? repairs : null);
    writer.endJsonb(startedAt);
  }
}

/** @param repairs null if nothing needs repair */
function writeObject(
  { opening, kept, others, nested }: ExtraObject,
  writer: CopyWriter,
  body: Uint8Array,
  repairs: Repairs | null,
): void {
  writer.raw(opening);
  let isFirst = !writeMembers(writer, body, repairs, [kept, others]);
  for (const object of nested) {
    if (!object.hasContents) continue;
    if (!isFirst) writer.raw(COMMA);
    isFirst = false;
    writeObject(object, writer, body, repairs);
  }
  writer.raw(CLOSE);
}

/** Returns whether there were any. `repairs`: null if nothing needs repair. */
function writeMembers(
  writer: CopyWriter,
  body: Uint8Array,
  repairs: Repairs | null,
  lists: readonly MemberList[],
): boolean {
  let isFirst = true;
  for (const members of lists) {
    for (let index = 0; index < members.count; index += 1) {
      if (!isFirst) writer.raw(COMMA);
      isFirst = false;
      const [start, end] = [members.startOf(index), members.endOf(index)];
      if (repairs === null) writer.raw(body, start, end);
      else writer.raw(repairJson(body, start, end, repairs));
    }
  }
  return !isFirst;
}
