/** Fields of an event that have a column, each spelling of its own. */
export const FIELD = {
  id: 0,
  eventId: 1,
  event_id: 2,
  sessionId: 3,
  userId: 4,
  type: 5,
  eventType: 6,
  name: 7,
  properties: 8,
  timestamp: 9,
  occurredAt: 10,
  occurred_at: 11,
  session: 12,
  sessionDotId: 13,
  deviceType: 14,
  browser: 15,
  event_type: 16,
} as const;

export const FIELD_COUNT = 17;
/** Stands for a field that is not there, and for a key that is not known. */
export const NO_FIELD = -1;

/** What kind of value stands in a field. */
export const KIND = {
  absent: 0,
  text: 1,
  /** A string with at least one escape. */
  escapedText: 2,
  number: 3,
  object: 4,
  array: 5,
  boolean: 6,
  null: 7,
} as const;

export function isString(kind: number): boolean {
  return kind === KIND.text || kind === KIND.escapedText;
}

/** A key and its field. */
export type KnownKey = readonly [string, number];

/** Keys inside `session`. */
export const SESSION_KEYS: readonly KnownKey[] = [
  ['id', FIELD.sessionDotId],
  ['deviceType', FIELD.deviceType],
  ['browser', FIELD.browser],
];

/** Bit `1 << field` for each of the fields. */
export function bitsOf(fields: readonly number[]): number {
  return fields.reduce((bits, field) => bits | (1 << field), 0);
}

export const SESSION_BITS = bitsOf(SESSION_KEYS.map(([, field]) => field));

/** Keys of the event itself. */
export const EVENT_KEYS: readonly KnownKey[] = Object.entries(FIELD).filter(
  ([, field]) => (SESSION_BITS & (1 << field)) === 0,
);

/** The spellings of one column's field. */
export interface FieldGroup {
  /** By precedence. */
  readonly fields: readonly number[];
  /** The first one: what a rebuilt event has when `extra` says nothing else. */
  readonly canonical: number;
  readonly bits: number;
}

function groupOf(canonical: number, ...others: readonly number[]): FieldGroup {
  const fields = [canonical, ...others];
  return { fields, canonical, bits: bitsOf(fields) };
}

export const ID_FIELDS = groupOf(FIELD.id, FIELD.eventId, FIELD.event_id);
export const TYPE_FIELDS = groupOf(FIELD.type, FIELD.eventType, FIELD.event_type);
export const TIME_FIELDS = groupOf(FIELD.timestamp, FIELD.occurredAt, FIELD.occurred_at);
