import type { IdColumnTypes } from '../../core/encoded-page.ts';
import type { TimeReader } from '../../core/times.ts';
import { createHash } from 'node:crypto';
import { type CompiledColumn, NO_FIELD } from '../plan/compiled-plan.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import type { FieldSlice } from '../scan/field-slice.ts';
import { isString, KIND } from '../scan/fields.ts';
import { areSameWords, isUsualUuid, MAX_ID_BYTES } from '../scan/ids.ts';
import { Repairs } from '../scan/json-strings.ts';
import { REJECTED_REASONS, type RejectedReason, REPAIRED_REASONS } from './anomaly-reasons.ts';
import { ColumnValues } from './column-values.ts';
import type { CopyWriter } from './copy-writer.ts';
import { fieldOfDoubledKey } from './doubled-key.ts';
import { ExtraFields } from './extra-fields.ts';
import { FieldComparison, FieldText } from './field-texts.ts';
import { RowColumn, SHOWN, WAY } from './row-columns.ts';

const ENCODER = new TextEncoder();

/** No event has this number. */
const NO_EVENT = -1;

/** An object of the plan that is not the record itself. */
interface RowObject {
  /** Among the plan's objects. */
  readonly index: number;
  readonly slice: FieldSlice;
  /** Those whose values stand in it. */
  readonly columns: readonly RowColumn[];
}

/**
 * Writes the columns of one event, and decides for each field: column, `extra`, or both.
 *
 * The rule for `extra`: a field goes there when it has no column, or when its column does not show its value or its
 * name: a null, a value of another type, a number in a text column, a second spelling (`eventId`). With it
 * event-rebuilding.ts can rebuild the event.
 */
export class EventFields {
  /** Of the event read last; `null`: it has none that PostgreSQL can hold. */
  time: TimeReader | null = null;
  readonly #body: Uint8Array;
  readonly #writer: CopyWriter;
  readonly slices: EventSlices;
  readonly #id: RowColumn;
  /** The others, in the order of the row. */
  readonly #columns: readonly RowColumn[];
  readonly #time: RowColumn | null;
  /** Of the columns, those that have their value once more. */
  readonly #repeated: readonly RowColumn[];
  readonly #objects: readonly RowObject[];
  readonly #values: ColumnValues;
  readonly #extra: ExtraFields;
  readonly #text: FieldText;
  readonly #comparison: FieldComparison;
  readonly #changes = new Repairs();

  constructor(body: Uint8Array, writer: CopyWriter, slices: EventSlices, types: IdColumnTypes) {
    const { plan } = slices;
    this.#body = body;
    this.#writer = writer;
    this.slices = slices;
    this.#id = new RowColumn(plan.id, slices, types);
    this.#columns = plan.columns.map((column) => new RowColumn(column, slices, types));
    this.#time = plan.time === null ? null : new RowColumn(plan.time, slices, types);
    this.#repeated = this.#columns.filter(({ repeatedAt }) => repeatedAt !== null);
    this.#objects = plan.objects.flatMap(({ field, isCovered }, index) =>
      field === NO_FIELD || isCovered ? [] : [{ index, slice: slices.of(field), columns: this.#columnsIn(field) }],
    );
    this.#values = new ColumnValues(body, writer);
    this.#extra = new ExtraFields(slices);
    this.#text = new FieldText(body);
    this.#comparison = new FieldComparison(body);
  }

  #columnsIn(field: number): RowColumn[] {
    const { fields, id, columns } = this.slices.plan;
    const path = fields[field]?.path ?? [];
    const isIn = ({ canonical }: CompiledColumn): boolean =>
      path.every((key, at) => fields[canonical]?.path[at] === key);
    const rowColumns = [this.#id, ...this.#columns];
    return rowColumns.filter((_, index) => isIn([id, ...columns][index] ?? id));
  }

  /** What was changed in the event written last. */
  get repairs(): ColumnValues['repairs'] {
    return this.#values.repairs;
  }

  /** Reads the event's time into `time`. */
  readTime(): void {
    const column = this.#time;
    if (column === null) return;
    const { canonical } = column;
    const isPlain = canonical.isUsual && !this.slices.hasAliases;
    this.time = isPlain ? canonical.time : this.#values.timeOf(column.choose());
  }

  /** Writes all columns but `source_order`, between `startRow` and `endRow`. If it returns a reason, drop the row. */
  write(): RejectedReason | null {
    this.#extra.clear();
    if (this.repairs.length > 0) this.repairs.length = 0;
    const { isPlain } = this.slices;
    const rejected = this.#writeId(this.#id, isPlain);
    if (rejected !== null) return rejected;
    this.#writeColumns(isPlain);
    for (const object of this.#objects) this.#keepObject(object);
    for (const column of this.#repeated) this.#keepRepeated(column);
    this.#changes.clear();
    this.#extra.write(this.#writer, this.#body, this.#changes);
    this.#values.noteChanges('extra', this.#changes);
    const doubled = this.slices.mayHaveDoubledKey ? fieldOfDoubledKey(this.#body, this.slices) : null;
    if (doubled !== null) this.#values.note(doubled, REPAIRED_REASONS.doubledKey);
    return null;
  }

  #writeId(column: RowColumn, isPlain: boolean): RejectedReason | null {
    const isUuid = column.way === WAY.uuid;
    column.shown = SHOWN.all;
    if (isPlain && isUuid && column.canonical.isUsual && !this.slices.hasAliases) {
      this.#writer.uuidWords(column.canonical);
      return null;
    }
    if (column.way === WAY.hash) {
      this.#writeHash();
      return null;
    }
    const slice = column.choose();
    const { kind } = slice;
    if (!slice.hasValue) {
      const isThere = [column.canonical, ...column.aliases].some((one) => one.kind !== KIND.absent);
      return isThere ? REJECTED_REASONS.idNull : REJECTED_REASONS.idMissing;
    }
    const isNumber = kind === KIND.number;
    if (!isString(kind) && (isUuid || !isNumber)) return REJECTED_REASONS.idWrongType;
    const text = this.#text;
    text.read(slice);
    if (text.start === text.end) return REJECTED_REASONS.idEmpty;
    if (column.way === WAY.bigint) {
      if (!this.#values.writeBigint(text)) return REJECTED_REASONS.idNotBigint;
    } else if (isUuid) {
      if (!this.#writer.uuid(text.bytes, text.start, text.end)) return REJECTED_REASONS.idNotUuid;
      // Two events whose ids are spelled differently would be one row, and nothing would say so.
      const isUsual = isUsualUuid(text.bytes, text.start, text.end);
      if (!isUsual) this.#values.note(column.name, REPAIRED_REASONS.otherSpelling);
    } else {
      if (text.unstorable) return REJECTED_REASONS.idUnstorable;
      if (text.end - text.start > MAX_ID_BYTES) return REJECTED_REASONS.idTooLong;
      this.#writer.text(text.bytes, text.start, text.end);
    }
    // In a column 42 and "42" are the same.
    if (isNumber !== (column.way === WAY.bigint)) column.shown = SHOWN.partly;
    this.#keepUnshown(column, slice);
    return null;
  }

  /** The first 128 bits of the SHA-256 of the record's bytes. */
  #writeHash(): void {
    const { start, end } = this.slices;
    const hash = createHash('sha256').update(this.#body.subarray(start, end)).digest('hex');
    const spelled = ENCODER.encode(hash.slice(0, 32));
    this.#writer.uuid(spelled, 0, spelled.length);
  }

  /** What is usual is written in place: a call for each column would make a page 10 % slower. */
  #writeColumns(isPlain: boolean): void {
    const writer = this.#writer;
    const event = isPlain ? this.slices.event : NO_EVENT;
    const { hasAliases } = this.slices;
    for (const column of this.#columns) {
      const { canonical } = column;
      if (canonical.usualIn !== event || (hasAliases && column.aliases.length > 0)) {
        this.#writeColumn(column);
        continue;
      }
      column.shown = SHOWN.all;
      switch (column.way) {
        case WAY.uuid:
          writer.uuidWords(canonical);
          break;
        case WAY.time:
          writer.int64(canonical.time.high, canonical.time.low);
          break;
        case WAY.jsonb:
          writer.jsonb(this.#body, canonical.start, canonical.end);
          break;
        default:
          writer.text(this.#body, canonical.start, canonical.end);
      }
    }
  }

  #writeColumn(column: RowColumn): void {
    const slice = column.choose();
    const isThere = slice.kind !== KIND.absent;
    column.shown = isThere ? this.#values.write(column, slice, this.slices.unstorable) : this.#values.writeNull();
    if (column.shown !== SHOWN.all || column.aliases.length > 0) this.#keepUnshown(column, slice);
  }

  /**
   * Keeps in `extra` what the column does not show: of the field that was chosen for it, and every other spelling that is
   * there. If one has the value of the canonical one, the canonical one goes there too: else the rebuilt event would have only
   * the other (see event-rebuilding.ts).
   */
  #keepUnshown(column: RowColumn, chosen: FieldSlice): void {
    const { canonical, aliases, shown } = column;
    if (chosen.kind !== KIND.absent && (shown !== SHOWN.all || chosen !== canonical)) this.#extra.keep(chosen);
    if (canonical.kind !== KIND.absent && chosen !== canonical) this.#extra.keep(canonical);
    let needsCanonical = false;
    for (const alias of aliases) {
      if (alias === chosen || alias.kind === KIND.absent) continue;
      this.#extra.keep(alias);
      // jsonb gives a number back in another spelling, so any number counts as the same.
      needsCanonical ||= alias.kind === KIND.number || this.#isSame(column, alias);
    }
    // What is not shown in full is in extra already.
    if (needsCanonical && chosen === canonical && shown === SHOWN.all) this.#extra.keep(canonical);
  }

  #isSame({ canonical, way }: RowColumn, alias: FieldSlice): boolean {
    if (way !== WAY.time) return this.#comparison.isSame(canonical, alias, way === WAY.uuid);
    const time = this.#values.timeOf(canonical);
    const other = this.#values.timeOf(alias);
    return time !== null && other !== null && time.isSame(other);
  }

  /** Something else in the object's place goes to `extra`; so does the object where no column shows that it was there. */
  #keepObject({ index, slice, columns }: RowObject): void {
    if (slice.kind === KIND.object) {
      for (const { shown } of columns) {
        if (shown !== SHOWN.nothing) return;
      }
      this.#extra.keepObject(index);
    } else if (slice.kind !== KIND.absent) {
      this.#extra.keep(slice);
    }
  }

  /** A value that is not repeated where it should be goes to `extra`, and that says so; what stands there instead does, too. */
  #keepRepeated(column: RowColumn): void {
    const { canonical, repeatedAt, shown } = column;
    if (repeatedAt?.sameIn === this.slices.event && this.slices.isPlain && shown === SHOWN.all) return;
    if (repeatedAt === null || (column.repeatedIn !== null && column.repeatedIn.kind !== KIND.object)) return;
    if (repeatedAt.kind === KIND.absent) {
      // A number is there already.
      if (shown === SHOWN.all) this.#extra.keep(canonical);
    } else if (shown === SHOWN.nothing || !this.#isRepeated(column, repeatedAt)) {
      this.#extra.keep(repeatedAt);
    }
  }

  #isRepeated({ canonical, way }: RowColumn, repeating: FieldSlice): boolean {
    // A number is in extra itself, and then it is not taken from there.
    if (canonical.kind === KIND.number) return false;
    if (canonical.isUsual && repeating.isUsual) return areSameWords(canonical, repeating);
    return this.#comparison.isSame(canonical, repeating, way === WAY.uuid);
  }
}
