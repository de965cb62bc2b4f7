import { type EventSlices, FIELD, KIND } from './event-slices.ts';
import { NO_FIELD } from './known-keys.ts';

/** The spellings of one column's field. */
export interface FieldGroup {
  /** By precedence; the first is the canonical one, which a rebuilt event has when `extra` says nothing else. */
  readonly fields: readonly number[];
  readonly canonical: number;
  /** Bit `1 << field` for each of them. */
  readonly bits: number;
}

function groupOf(canonical: number, ...others: readonly number[]): FieldGroup {
  const fields = [canonical, ...others];
  return { fields, canonical, bits: fields.reduce((bits, field) => bits | (1 << field), 0) };
}

export const ID_FIELDS = groupOf(FIELD.id, FIELD.eventId, FIELD.event_id);
export const TYPE_FIELDS = groupOf(FIELD.type, FIELD.eventType);
export const TIME_FIELDS = groupOf(FIELD.timestamp, FIELD.occurredAt, FIELD.occurred_at);

/** The spelling that the column is read from: the first that is there and not null; NO_FIELD if there is none. */
export function chooseField(slices: EventSlices, group: FieldGroup): number {
  const { canonical, fields } = group;
  if (isPresent(slices, canonical)) return canonical;
  if ((slices.present & group.bits) === 0) return NO_FIELD;
  for (let index = 1; index < fields.length; index += 1) {
    const field = fields[index];
    if (field !== undefined && isPresent(slices, field)) return field;
  }
  return NO_FIELD;
}

function isPresent(slices: EventSlices, field: number): boolean {
  const kind = slices.kindOf(field);
  return kind !== KIND.absent && kind !== KIND.null;
}

export function isString(kind: number): boolean {
  return kind === KIND.text || kind === KIND.escapedText;
}
