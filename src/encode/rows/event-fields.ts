import type { IdColumnType, IdColumnTypes } from '../../core/encoded-page.ts';
import { REJECTED_REASONS, type RejectedReason, REPAIRED_REASONS, type RepairedReason } from './anomaly-reasons.ts';
import type { CopyWriter } from './copy-writer.ts';
import type { CopyColumnName } from './event-columns.ts';
import { type EventSlices, FIELD, KIND } from '../scan/event-slices.ts';
import { ExtraFields } from './extra-fields.ts';
import { chooseField, type FieldGroup, ID_FIELDS, isString, TIME_FIELDS, TYPE_FIELDS } from '../scan/field-groups.ts';
import { FieldComparison, FieldText } from './field-texts.ts';
import { MAX_ID_BYTES } from '../scan/ids.ts';
import { Repairs } from '../scan/json-strings.ts';
import { NO_FIELD } from '../scan/known-keys.ts';
import { TimeReader } from '../scan/times.ts';

export interface FieldRepair {
  readonly column: CopyColumnName;
  readonly reason: RepairedReason;
}

/**
 * Writes the columns of one event, and decides for each field: column, `extra`, or both.
 *
 * The rule for `extra`: a field goes there when it has no column, or when its column does not tell its value or its
 * name: a null, a value of another type, a number in a text column, a second spelling (`eventId`). So the event can be
 * rebuilt; see event-rebuilding.ts.
 */
export class EventFields {
  /** What was changed in the event written last. */
  readonly repairs: FieldRepair[] = [];
  /** The event read last has a time that PostgreSQL holds; it is `time.epochMs`. */
  hasTime = false;
  time = new TimeReader();

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

  /** Reads the event's time into `hasTime` and `time`; returns the field that it was read from, -1 if there is none. */
  readTime(slices: EventSlices): number {
    const field = chooseField(slices, TIME_FIELDS);
    if (field !== NO_FIELD && field === slices.timeField) {
      this.hasTime = true;
      this.time = slices.time;
    } else {
      this.time = this.#slowTime;
      this.hasTime = field !== NO_FIELD && this.#readTimeOf(slices, field, this.time);
    }
    return field;
  }

  /**
   * Writes all columns but `source_order`, between `startRow` and `endRow`. A reason: nothing usable was written, drop
   * the row.
   */
  write(slices: EventSlices, timeField: number): RejectedReason | null {
    this.#extra.clear();
    if (this.repairs.length > 0) this.repairs.length = 0;
    const rejected = this.#writeId(slices);
    if (rejected !== null) return rejected;
    const hasSessionId = this.#writeOptionalId(slices, FIELD.sessionId, this.#types.sessionId);
    this.#writeOptionalId(slices, FIELD.userId, this.#types.userId);
    this.#writeType(slices);
    this.#writeText(slices, FIELD.name, 'name', false);
    this.#writeProperties(slices);
    this.#writeTime(slices, timeField);
    this.#writeSession(slices, hasSessionId);
    this.#changes.clear();
    this.#extra.write(this.#writer, this.#body, slices, this.#changes);
    this.#noteChanges('extra');
    return null;
  }

  #writeId(slices: EventSlices): RejectedReason | null {
    const field = chooseField(slices, ID_FIELDS);
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
    } else {
      if (text.unstorable) return REJECTED_REASONS.idUnstorable;
      if (text.end - text.start > MAX_ID_BYTES) return REJECTED_REASONS.idTooLong;
      this.#writer.text(text.bytes, text.start, text.end);
    }
    // A text column does not tell 42 from "42".
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
      // Not repaired, as no id is: two users must not become one.
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
    const field = chooseField(slices, TYPE_FIELDS);
    if (field === NO_FIELD) this.#writer.null();
    else this.#writeText(slices, field, 'type', field !== FIELD.type);
    this.#keepOtherSpellings(slices, TYPE_FIELDS, field, false);
  }

  /** True: the column is not null. */
  #writeText(slices: EventSlices, field: number, column: 'type' | 'name', alsoKeep: boolean): void {
    if (this.#writeTextColumn(slices, field, column)) {
      if (alsoKeep) this.#extra.keep(slices, field);
    } else if (slices.kindOf(field) !== KIND.absent) {
      this.#extra.keep(slices, field);
    }
  }

  #writeTextColumn(slices: EventSlices, field: number, column: CopyColumnName): boolean {
    const kind = slices.kindOf(field);
    if (kind === KIND.text) {
      this.#writer.text(this.#body, slices.startOf(field), slices.endOf(field));
      return true;
    }
    if (kind === KIND.escapedText) {
      this.#changes.clear();
      this.#writer.decodedText(this.#body, slices.startOf(field), slices.endOf(field), this.#changes);
      this.#noteChanges(column);
      return true;
    }
    this.#writer.null();
    return false;
  }

  /**
   * The exact text, of whatever type it is: a missing `properties` is null, `"properties": null` is jsonb's own null.
   */
  #writeProperties(slices: EventSlices): void {
    const kind = slices.kindOf(FIELD.properties);
    if (kind === KIND.absent) {
      this.#writer.null();
      return;
    }
    const start = slices.startOf(FIELD.properties) - (isString(kind) ? 1 : 0);
    const end = slices.memberEndOf(FIELD.properties);
    if (!slices.unstorable) {
      this.#writer.jsonb(this.#body, start, end);
      return;
    }
    this.#changes.clear();
    const startedAt = this.#writer.startJsonb();
    this.#writer.repairedJson(this.#body, start, end, this.#changes);
    this.#writer.endJsonb(startedAt);
    this.#noteChanges('properties');
  }

  #writeTime(slices: EventSlices, field: number): void {
    if (this.hasTime) {
      this.#writer.timestamptz(this.time.high, this.time.low);
      if (field !== FIELD.timestamp && field !== NO_FIELD) this.#extra.keep(slices, field);
    } else {
      this.#writer.null();
      if (field !== NO_FIELD) {
        this.repairs.push({ column: 'occurred_at', reason: REPAIRED_REASONS.notATime });
        this.#extra.keep(slices, field);
      }
    }
    this.#keepOtherSpellings(slices, TIME_FIELDS, field, false);
  }

  #readTimeOf(slices: EventSlices, field: number, into: TimeReader): boolean {
    const kind = slices.kindOf(field);
    if (kind === KIND.number) return into.readNumber(this.#body, slices.startOf(field), slices.endOf(field));
    if (!isString(kind)) return false;
    this.#text.read(slices, field);
    return into.readText(this.#text.bytes, this.#text.start, this.#text.end);
  }

  #writeSession(slices: EventSlices, hasSessionId: boolean): void {
    if (slices.kindOf(FIELD.session) !== KIND.object) {
      this.#writer.null();
      this.#writer.null();
      if (slices.kindOf(FIELD.session) !== KIND.absent) this.#extra.keep(slices, FIELD.session);
      return;
    }
    const hasDeviceType = this.#writeSessionText(slices, FIELD.deviceType, 'device_type');
    const hasBrowser = this.#writeSessionText(slices, FIELD.browser, 'browser');
    if (!hasDeviceType && !hasBrowser) this.#extra.keepSession();
    const hasOwnId = slices.kindOf(FIELD.sessionDotId) !== KIND.absent;
    if (!hasOwnId) {
      // `sessionId` in extra says that session.id is not to be taken from it. A number is there already.
      const isKept = slices.kindOf(FIELD.sessionId) === KIND.number;
      if (hasSessionId && !isKept) this.#extra.keep(slices, FIELD.sessionId);
    } else if (!hasSessionId || !this.#isSameSessionId(slices)) {
      this.#extra.keepOfSession(slices, FIELD.sessionDotId);
    }
  }

  #isSameSessionId(slices: EventSlices): boolean {
    const sessionId = slices.of(FIELD.sessionId);
    const ownId = slices.of(FIELD.sessionDotId);
    if (sessionId.isUuid && ownId.isUuid) {
      return (
        sessionId.word0 === ownId.word0 &&
        sessionId.word1 === ownId.word1 &&
        sessionId.word2 === ownId.word2 &&
        sessionId.word3 === ownId.word3
      );
    }
    // A number is in extra itself, and then nothing is taken from it.
    if (slices.kindOf(FIELD.sessionId) === KIND.number) return false;
    return this.#comparison.isSame(slices, FIELD.sessionId, FIELD.sessionDotId, this.#types.sessionId === 'uuid');
  }

  #writeSessionText(slices: EventSlices, field: number, column: 'device_type' | 'browser'): boolean {
    if (this.#writeTextColumn(slices, field, column)) return true;
    if (slices.kindOf(field) !== KIND.absent) this.#extra.keepOfSession(slices, field);
    return false;
  }

  /**
   * Every other spelling that is there goes to `extra`. If it says the same as the canonical one, the canonical one
   * goes too: or the rebuilt event would have only the other (see event-rebuilding.ts).
   */
  #keepOtherSpellings(slices: EventSlices, group: FieldGroup, chosen: number, asUuids: boolean): void {
    const chosenBit = chosen === NO_FIELD ? 0 : 1 << chosen;
    if ((slices.present & group.bits & ~chosenBit) === 0) return;
    let needsCanonical = false;
    for (const field of group.fields) {
      if (field === chosen || slices.kindOf(field) === KIND.absent) continue;
      this.#extra.keep(slices, field);
      if (chosen !== group.canonical) continue;
      // A number comes out of jsonb in another spelling: to be sure, any number may be the same.
      needsCanonical ||= slices.kindOf(field) === KIND.number || this.#isSame(slices, chosen, field, asUuids);
    }
    // A number under the canonical key is there already.
    if (needsCanonical && !(group === ID_FIELDS && slices.kindOf(chosen) === KIND.number)) {
      this.#extra.keep(slices, group.canonical);
    }
  }

  #isSame(slices: EventSlices, chosen: number, other: number, asUuids: boolean): boolean {
    if (chosen !== FIELD.timestamp) return this.#comparison.isSame(slices, chosen, other, asUuids);
    const otherTime = this.#otherTime;
    return (
      this.hasTime &&
      this.#readTimeOf(slices, other, otherTime) &&
      otherTime.high === this.time.high &&
      otherTime.low === this.time.low
    );
  }

  #noteChanges(column: CopyColumnName): void {
    if (this.#changes.characters) this.repairs.push({ column, reason: REPAIRED_REASONS.unstorableCharacters });
    if (this.#changes.numbers) this.repairs.push({ column, reason: REPAIRED_REASONS.numberAsText });
  }
}
