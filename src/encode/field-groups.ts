import { type EventSlices, FIELD, type Field, KIND } from './event-slices.ts';

/** The spellings of one column's field, by precedence; the first is the canonical one, which a rebuilt event has when `extra` says nothing else. */
export const ID_FIELDS: readonly Field[] = [FIELD.id, FIELD.eventId, FIELD.event_id];
export const TYPE_FIELDS: readonly Field[] = [FIELD.type, FIELD.eventType];
export const TIME_FIELDS: readonly Field[] = [FIELD.timestamp, FIELD.occurredAt, FIELD.occurred_at];

/** The spelling that the column is read from: the first that is there and not null. -1: none. */
export function chooseField(slices: EventSlices, fields: readonly Field[]): Field | -1 {
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i];
    if (field !== undefined && slices.kindOf(field) !== KIND.absent && slices.kindOf(field) !== KIND.null) return field;
  }
  return -1;
}

export function isString(kind: number): boolean {
  return kind === KIND.text || kind === KIND.escapedText;
}
