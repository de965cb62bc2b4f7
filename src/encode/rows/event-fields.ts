import type { IdColumnType, IdColumnTypes } from '../../core/encoded-page.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import {
  FIELD,
  type FieldGroup,
  ID_FIELDS,
  isString,
  KIND,
  NO_FIELD,
  TIME_FIELDS,
  TYPE_FIELDS,
} from '../scan/fields.ts';
import { areSameWords, isUsualUuid, MAX_ID_BYTES } from '../scan/ids.ts';
import { repairJson, Repairs } from '../scan/json-strings.ts';
import { TimeReader } from '../../core/times.ts';
import { REJECTED_REASONS, type RejectedReason, REPAIRED_REASONS, type RepairedReason } from './anomaly-reasons.ts';
import type { CopyWriter } from './copy-writer.ts';
import { fieldOfDoubledKey } from './doubled-key.ts';
import type { CopyColumnName } from './event-columns.ts';
import { ExtraFields } from './extra-fields.ts';
import { FieldComparison, FieldText } from './field-texts.ts';

interface FieldRepair {
  readonly column: CopyColumnName | 'event';
  readonly reason: RepairedReason;
}

/**
 * Writes the columns of one event, and decides for each field: column, `extra`, or both.
 *
 * The rule for `extra`: a field goes there when it has no column, or when its column does not show its value or its
 * name: a null, a value of another type, a number in a text column, a second spelling (`eventId`). With it
 * event-rebuilding.ts can rebuild the event.
 */
export class EventFields {
  /** What was changed in the event written last. */
  readonly repairs: FieldRepair[] = [];
  /** The event read last has a time that PostgreSQL can hold; it is in `time`. */
  hasTime = false;
  time = new TimeReader();
  /** The field that it was read from, NO_FIELD if there is none. */
  #timeField: number = NO_FIELD;

  readonly #body: Uint8Array;
  readonly #writer: CopyWriter;
  readonly #types: IdColumnTypes;
  readonly #extra = new ExtraFields();
  readonly #text: FieldText;
  readonly #comparison: FieldComparison;
  readonly #slowTime = new TimeReader();
  readonly #otherTime = new TimeReader();
  readonly #changes = new Repairs();

  constructor(body: Uint8Array, writer: CopyWriter, types: IdColumnTypes) {
    this.#body = body;
    this.#writer = writer;
    this.#types = types;
    this.#text = new FieldText(body);
    this.#comparison = new FieldComparison(body);
  }

  /** Reads the event's time into `hasTime` and `time`. */
  readTime(slices: EventSlices): void {
    const field = slices.choose(TIME_FIELDS);
    if (field !== NO_FIELD && field === slices.timeField) {
      this.hasTime = true;
      this.time = slices.time;
    } else {
      this.time = this.#slowTime;
      this.hasTime = field !== NO_FIELD && this.#readTimeOf(slices, field, this.time);
    }
    this.#timeField = field;
  }

  /** Writes all columns but `source_order`, for the event whose time was read last, between `startRow` and `endRow`. If it returns a reason, drop the row. */
  write(slices: EventSlices): RejectedReason | null {
    this.#extra.clear();
    if (this.repairs.length > 0) this.repairs.length = 0;
    const rejected = this.#writeId(slices);
    if (rejected !== null) return rejected;
    const hasSessionId = this.#writeOptionalId(slices, FIELD.sessionId, this.#types.sessionId);
    this.#writeOptionalId(slices, FIELD.userId, this.#types.userId);
    this.#writeType(slices);
    this.#writeText(slices, FIELD.name, 'name');
    this.#writeProperties(slices);
    this.#writeTime(slices);
    this.#writeSession(slices, hasSessionId);
    this.#changes.clear();
    this.#extra.write(this.#writer, this.#body, slices, this.#changes);
    this.#noteChanges('extra');
    const doubled = slices.mayHaveDoubledKey ? fieldOfDoubledKey(this.#body, slices) : null;
    if (doubled !== null) this.repairs.push({ column: doubled, reason: REPAIRED_REASONS.doubledKey });
    return null;
  }

  #writeId(slices: EventSlices): RejectedReason | null {
    const field = slices.choose(ID_FIELDS);
    if (field === NO_FIELD) {
      return (slices.present & ID_FIELDS.bits) !== 0 ? REJECTED_REASONS.idNull : REJECTED_REASONS.idMissing;
    }
    if (field === FIELD.id && this.#types.id === 'uuid' && slices.of(field).isUuid) {
      this.#writer.uuidWords(slices.of(field));
      this.#keepOtherSpellings(slices, ID_FIELDS, field, true);
      return null;
    }
    const kind = slices.kindOf(field);
    const isNumber = kind === KIND.number;
    if (!isString(kind) && !(isNumber && this.#types.id === 'text')) return REJECTED_REASONS.idWrongType;
    const text = this.#text;
    text.read(slices, field);
    if (text.start === text.end) return REJECTED_REASONS.idEmpty;
    if (this.#types.id === 'uuid') {
      if (!this.#writer.uuid(text.bytes, text.start, text.end)) return REJECTED_REASONS.idNotUuid;
      // Two events whose ids are spelled differently would be one row, and nothing would say so.
      const isUsual = isUsualUuid(text.bytes, text.start, text.end);
      if (!isUsual) this.repairs.push({ column: 'id', reason: REPAIRED_REASONS.otherSpelling });
    } else {
      if (text.unstorable) return REJECTED_REASONS.idUnstorable;
      if (text.end - text.start > MAX_ID_BYTES) return REJECTED_REASONS.idTooLong;
      this.#writer.text(text.bytes, text.start, text.end);
    }
    // In a text column 42 and "42" are the same.
    if (field !== FIELD.id || isNumber) this.#extra.keep(slices, field);
    this.#keepOtherSpellings(slices, ID_FIELDS, field, this.#types.id === 'uuid');
    return null;
  }

  /** `sessionId`, `userId`. True: the column is not null. */
  #writeOptionalId(slices: EventSlices, field: number, type: IdColumnType): boolean {
    const kind = slices.kindOf(field);
    if (kind === KIND.absent) {
      this.#writer.null();
      return false;
    }
    if (type === 'uuid' && slices.of(field).isUuid) {
      this.#writer.uuidWords(slices.of(field));
      return true;
    }
    const isNumber = kind === KIND.number;
    if (isString(kind) || (isNumber && type === 'text')) {
      const text = this.#text;
      text.read(slices, field);
      // Ids are not repaired: two users must not become one.
      if (!text.unstorable) {
        if (type === 'text') {
          this.#writer.text(text.bytes, text.start, text.end);
          if (isNumber) this.#extra.keep(slices, field);
          return true;
        }
        if (this.#writer.uuid(text.bytes, text.start, text.end)) return true;
      }
    }
    this.#writer.null();
    this.#extra.keep(slices, field);
    return false;
  }

  #writeType(slices: EventSlices): void {
    const field = slices.choose(TYPE_FIELDS);
    if (field === NO_FIELD) this.#writer.null();
    else if (this.#writeText(slices, field, 'type') && field !== FIELD.type) this.#extra.keep(slices, field);
    this.#keepOtherSpellings(slices, TYPE_FIELDS, field, false);
  }

  /** True: the column is not null. */
  #writeText(slices: EventSlices, field: number, column: CopyColumnName): boolean {
    const kind = slices.kindOf(field);
    if (kind === KIND.text) {
      const { start, end } = slices.of(field);
      this.#writer.text(this.#body, start, end);
      return true;
    }
    if (kind === KIND.escapedText) {
      const text = this.#text;
      text.read(slices, field);
      this.#writer.text(text.bytes, text.start, text.end);
      if (text.unstorable) this.repairs.push({ column, reason: REPAIRED_REASONS.unstorableCharacters });
      return true;
    }
    this.#writer.null();
    if (slices.has(field)) this.#extra.keep(slices, field);
    return false;
  }

  /** The exact text, whatever its type. Missing `properties` are SQL's null, `"properties": null` is jsonb's. */
  #writeProperties(slices: EventSlices): void {
    if (!slices.has(FIELD.properties)) {
      this.#writer.null();
      return;
    }
    const slice = slices.of(FIELD.properties);
    const start = isString(slice.kind) ? slice.start - 1 : slice.start;
    const end = slices.memberEndOf(FIELD.properties);
    if (!slices.unstorable) {
      this.#writer.jsonb(this.#body, start, end);
      return;
    }
    this.#changes.clear();
    const repaired = repairJson(this.#body, start, end, this.#changes);
    this.#writer.jsonb(repaired, 0, repaired.length);
    this.#noteChanges('properties');
  }

  #writeTime(slices: EventSlices): void {
    const field = this.#timeField;
    if (this.hasTime) this.#writer.int64(this.time.high, this.time.low);
    else this.#writer.null();
    if (field !== NO_FIELD && !this.hasTime) {
      this.repairs.push({ column: 'occurred_at', reason: REPAIRED_REASONS.notATime });
    }
    if (field !== NO_FIELD && (field !== FIELD.timestamp || !this.hasTime)) this.#extra.keep(slices, field);
    this.#keepOtherSpellings(slices, TIME_FIELDS, field, false);
  }

  #readTimeOf(slices: EventSlices, field: number, into: TimeReader): boolean {
    const kind = slices.kindOf(field);
    if (kind !== KIND.number && !isString(kind)) return false;
    this.#text.read(slices, field);
    const { bytes, start, end } = this.#text;
    return kind === KIND.number ? into.readNumber(bytes, start, end) : into.readText(bytes, start, end);
  }

  #writeSession(slices: EventSlices, hasSessionId: boolean): void {
    if (slices.kindOf(FIELD.session) !== KIND.object) {
      this.#writer.null();
      this.#writer.null();
      if (slices.has(FIELD.session)) this.#extra.keep(slices, FIELD.session);
      return;
    }
    const hasDeviceType = this.#writeText(slices, FIELD.deviceType, 'device_type');
    const hasBrowser = this.#writeText(slices, FIELD.browser, 'browser');
    if (!hasDeviceType && !hasBrowser) this.#extra.keepSession();
    if (!slices.has(FIELD.sessionDotId)) {
      // `sessionId` in extra says that the session had no id. A number is in extra already.
      const isKept = slices.kindOf(FIELD.sessionId) === KIND.number;
      if (hasSessionId && !isKept) this.#extra.keep(slices, FIELD.sessionId);
    } else if (!hasSessionId || !this.#isSameSessionId(slices)) {
      this.#extra.keep(slices, FIELD.sessionDotId);
    }
  }

  #isSameSessionId(slices: EventSlices): boolean {
    const sessionId = slices.of(FIELD.sessionId);
    const ownId = slices.of(FIELD.sessionDotId);
    if (sessionId.isUuid && ownId.isUuid) {
      return areSameWords(sessionId, ownId);
    }
    // A number is in extra itself, and then session.id is not taken from it.
    if (slices.kindOf(FIELD.sessionId) === KIND.number) return false;
    return this.#comparison.isSame(slices, FIELD.sessionId, FIELD.sessionDotId, this.#types.sessionId === 'uuid');
  }

  /**
   * Every other spelling that is there goes to `extra`. If it has the value of the canonical one, the canonical one goes
   * too: else the rebuilt event would have only the other (see event-rebuilding.ts).
   */
  #keepOtherSpellings(slices: EventSlices, group: FieldGroup, chosen: number, asUuids: boolean): void {
    const chosenBit = chosen === NO_FIELD ? 0 : 1 << chosen;
    if ((slices.present & group.bits & ~chosenBit) === 0) return;
    let needsCanonical = false;
    for (const field of group.fields) {
      if (field === chosen || !slices.has(field)) continue;
      this.#extra.keep(slices, field);
      if (chosen !== group.canonical) continue;
      // jsonb gives a number back in another spelling, so any number counts as the same.
      needsCanonical ||= slices.kindOf(field) === KIND.number || this.#isSame(slices, chosen, field, asUuids);
    }
    // A number under the canonical key is in extra already.
    if (needsCanonical && !(group === ID_FIELDS && slices.kindOf(chosen) === KIND.number)) {
      this.#extra.keep(slices, group.canonical);
    }
  }

  #isSame(slices: EventSlices, chosen: number, other: number, asUuids: boolean): boolean {
    if (chosen !== FIELD.timestamp) return this.#comparison.isSame(slices, chosen, other, asUuids);
    return this.hasTime && this.#readTimeOf(slices, other, this.#otherTime) && this.#otherTime.isSame(this.time);
  }

  #noteChanges(column: CopyColumnName): void {
    if (this.#changes.characters) this.repairs.push({ column, reason: REPAIRED_REASONS.unstorableCharacters });
    if (this.#changes.numbers) this.repairs.push({ column, reason: REPAIRED_REASONS.numberAsText });
  }
}
