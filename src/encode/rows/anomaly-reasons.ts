/**
 * The closed list of what can be wrong with an event. These words are in `ingestion.anomaly.reason`, in logs and
 * metrics, and people write queries against them: add, never rename. The only other text in that column is PostgreSQL's
 * own, for events that it refused.
 */

/** The event has no row. */
export const REJECTED_REASONS = {
  notAnObject: 'not-an-object',
  tooLarge: 'event-too-large',
  tooDeep: 'nested-too-deep',
  idMissing: 'id-missing',
  idNull: 'id-null',
  idEmpty: 'id-empty',
  idWrongType: 'id-wrong-type',
  idNotUuid: 'id-not-a-uuid',
  idNotBigint: 'id-not-a-bigint',
  idTooLong: 'id-too-long',
  idUnstorable: 'id-has-unstorable-characters',
  /** Its bytes are no JSON. */
  notJson: 'not-json',
  /** Its bytes are no UTF-8. */
  notUtf8: 'not-utf-8',
  /** It ended every worker that it was given to, alone on its page. */
  workerDied: 'worker-died',
} as const;

/** The event has a row, and the row is not quite the event. */
export const REPAIRED_REASONS = {
  /** U+0000 or a lone surrogate became U+FFFD. */
  unstorableCharacters: 'unstorable-characters-replaced',
  /** A number outside what `numeric` (and so `jsonb`) can hold became a string of the same characters. */
  numberAsText: 'number-out-of-range-kept-as-text',
  /** A UUID in capitals, in braces or with other hyphens, where the column has type uuid: that gives back one spelling for all. */
  otherSpelling: 'uuid-in-another-spelling',
  /** Not a time, or not one that `timestamptz` can hold: the column is null, the original is in `extra`. */
  notATime: 'not-a-time',
  /** A value of another type than its column, which is null: the value is in `extra`. */
  otherType: 'value-of-another-type',
  /** A number that its column's type cannot hold: the column is null, the number is in `extra`. */
  unfitNumber: 'number-does-not-fit',
  /** A control character stood in a string as it is, which JSON does not allow: it was taken for itself. */
  rawControls: 'raw-control-characters',
  /** A comma too many stood behind it. */
  surplusComma: 'comma-too-many',
  /** A key came twice in one object: only its last value was kept. */
  doubledKey: 'key-doubled',
} as const;

export type RejectedReason = (typeof REJECTED_REASONS)[keyof typeof REJECTED_REASONS];
export type RepairedReason = (typeof REPAIRED_REASONS)[keyof typeof REPAIRED_REASONS];

export type AnomalyReason = RejectedReason | RepairedReason;
