import type { TimeReader } from '../../core/times.ts';
import type { FieldSlice } from '../scan/field-slice.ts';
import { isString, KIND } from '../scan/fields.ts';
import { isUnfitNumeric } from '../scan/numeric-range.ts';
import { repairJson, Repairs } from '../scan/json-strings.ts';
import { REPAIRED_REASONS, type RepairedReason } from './anomaly-reasons.ts';
import type { CopyWriter } from './copy-writer.ts';
import { FieldText } from './field-texts.ts';
import { BigintReader, isDecimal } from './numbers.ts';
import { type RowColumn, SHOWN, WAY } from './row-columns.ts';

const OTHER_TYPE = REPAIRED_REASONS.otherType;
const FIRST_OF_TRUE = 0x74;

interface FieldRepair {
  /** Or `event`. */
  readonly column: string;
  readonly reason: RepairedReason;
}

/** Writes the values of columns, each as its type has it, and notes what had to be changed for that. */
export class ColumnValues {
  /** Of the event written last; whoever begins the next one empties it. */
  readonly repairs: FieldRepair[] = [];
  readonly #body: Uint8Array;
  readonly #writer: CopyWriter;
  readonly #text: FieldText;
  readonly #bigint = new BigintReader();
  readonly #changes = new Repairs();

  constructor(body: Uint8Array, writer: CopyWriter) {
    this.#body = body;
    this.#writer = writer;
    this.#text = new FieldText(body);
  }

  /** Writes the value of a field that is there, or null for it. @returns what is shown of it, one of SHOWN */
  write(column: RowColumn, slice: FieldSlice, unstorable: boolean): number {
    switch (column.way) {
      case WAY.text:
        return this.#writeText(column, slice);
      case WAY.jsonb:
        return this.#writeJsonb(column, slice, unstorable);
      case WAY.time:
        return this.#writeTime(column, slice);
      case WAY.boolean:
        return this.#writeBoolean(column, slice);
      case WAY.bigint:
      case WAY.numeric:
        return this.#writeNumber(column, slice);
      default:
        return this.#writeId(column, slice);
    }
  }

  writeNull(): number {
    this.#writer.null();
    return SHOWN.nothing;
  }

  /** Writes null for a value that does not fit. */
  #writeMisfit(column: RowColumn, { kind }: FieldSlice, reason: RepairedReason): number {
    if (!column.isLenient && kind !== KIND.null) this.note(column.name, reason);
    return this.writeNull();
  }

  /** An id that is not the record's own. */
  #writeId(column: RowColumn, slice: FieldSlice): number {
    const isUuid = column.way === WAY.uuid;
    if (isUuid && slice.isUsual) {
      this.#writer.uuidWords(slice);
      return SHOWN.all;
    }
    const isNumber = slice.kind === KIND.number;
    if (!isString(slice.kind) && (isUuid || !isNumber)) return this.#writeMisfit(column, slice, OTHER_TYPE);
    const text = this.#text;
    text.read(slice);
    // Ids are not repaired: two users must not become one.
    if (text.unstorable) return this.#writeMisfit(column, slice, OTHER_TYPE);
    if (isUuid) {
      const isWritten = this.#writer.uuid(text.bytes, text.start, text.end);
      return isWritten ? SHOWN.all : this.#writeMisfit(column, slice, OTHER_TYPE);
    }
    this.#writer.text(text.bytes, text.start, text.end);
    return isNumber ? SHOWN.partly : SHOWN.all;
  }

  /** Digits in a string are the same number, which `extra` tells from one that is no string. */
  #writeNumber(column: RowColumn, slice: FieldSlice): number {
    const isNumber = slice.kind === KIND.number;
    if (!isNumber && !isString(slice.kind)) return this.#writeMisfit(column, slice, OTHER_TYPE);
    const text = this.#text;
    text.read(slice);
    const { bytes, start, end } = text;
    if (!isNumber && !isDecimal(bytes, start, end)) return this.#writeMisfit(column, slice, OTHER_TYPE);
    const isWritten = column.way === WAY.bigint ? this.writeBigint(text) : this.#writeNumeric(text);
    if (!isWritten) return this.#writeMisfit(column, slice, REPAIRED_REASONS.unfitNumber);
    return isNumber ? SHOWN.all : SHOWN.partly;
  }

  /** False, and nothing written, if the text is no bigint. */
  writeBigint({ bytes, start, end }: FieldText): boolean {
    if (!this.#bigint.read(bytes, start, end)) return false;
    this.#writer.int64(this.#bigint.high, this.#bigint.low);
    return true;
  }

  #writeNumeric({ bytes, start, end }: FieldText): boolean {
    if (isUnfitNumeric(bytes, start, end)) return false;
    this.#writer.numeric(bytes, start, end);
    return true;
  }

  #writeBoolean(column: RowColumn, slice: FieldSlice): number {
    if (slice.kind !== KIND.boolean) return this.#writeMisfit(column, slice, OTHER_TYPE);
    this.#writer.boolean(this.#body[slice.start] === FIRST_OF_TRUE);
    return SHOWN.all;
  }

  #writeText(column: RowColumn, slice: FieldSlice): number {
    if (slice.kind === KIND.text) {
      this.#writer.text(this.#body, slice.start, slice.end);
      return SHOWN.all;
    }
    if (slice.kind !== KIND.escapedText) return this.#writeMisfit(column, slice, OTHER_TYPE);
    const text = this.#text;
    text.read(slice);
    this.#writer.text(text.bytes, text.start, text.end);
    if (text.unstorable) this.note(column.name, REPAIRED_REASONS.unstorableCharacters);
    return SHOWN.all;
  }

  /** The exact text, whatever its type. */
  #writeJsonb({ name }: RowColumn, slice: FieldSlice, unstorable: boolean): number {
    const start = isString(slice.kind) ? slice.start - 1 : slice.start;
    if (!unstorable) {
      this.#writer.jsonb(this.#body, start, slice.memberEnd);
      return SHOWN.all;
    }
    this.#changes.clear();
    const repaired = repairJson(this.#body, start, slice.memberEnd, this.#changes);
    this.#writer.jsonb(repaired, 0, repaired.length);
    this.noteChanges(name, this.#changes);
    return SHOWN.all;
  }

  #writeTime(column: RowColumn, slice: FieldSlice): number {
    const time = this.timeOf(slice);
    if (time === null) return this.#writeMisfit(column, slice, REPAIRED_REASONS.notATime);
    this.#writer.int64(time.high, time.low);
    return SHOWN.all;
  }

  /** The time in a field, valid until the next event; `null`: none that PostgreSQL can hold. */
  timeOf(slice: FieldSlice): TimeReader | null {
    const { kind, isUsual, time } = slice;
    const isNumber = kind === KIND.number;
    if (!isNumber && !isString(kind)) return null;
    if (isUsual) return time;
    this.#text.read(slice);
    const { bytes, start, end } = this.#text;
    const isTime = isNumber ? time.readNumber(bytes, start, end) : time.readText(bytes, start, end);
    return isTime ? time : null;
  }

  note(column: string, reason: RepairedReason): void {
    this.repairs.push({ column, reason });
  }

  noteChanges(column: string, changes: Repairs): void {
    if (changes.characters) this.note(column, REPAIRED_REASONS.unstorableCharacters);
    if (changes.numbers) this.note(column, REPAIRED_REASONS.numberAsText);
  }
}
