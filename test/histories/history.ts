/** A history as plain data: an API, and what happens to it, to the table and by a person's hand, in order. */

export interface History {
  /** Ids and values of events are made from it. */
  readonly salt: number;
  readonly api: ApiTraits;
  readonly data: DataTraits;
  readonly steps: readonly Step[];
}

export interface ApiTraits {
  /** `null`: there is only `/events`. */
  readonly stream: StreamTraits | null;
  /** `live` has `pagination` and a total, `doc` a flag without a total, `null-cursor` ends by `nextCursor: null` alone. */
  readonly shape: 'live' | 'doc' | 'null-cursor';
  readonly cap: number;
  /** `arrival`: late events stand where they arrived, while bounds go by an event's own time. */
  readonly order: 'time' | 'arrival';
  /** A page begins with the event that its cursor names. */
  readonly inclusiveCursor: boolean;
  /** Every page with events says that more follows; the last leads to an empty one. */
  readonly endsWithEmptyPage: boolean;
  readonly cursorLifeMs: number | null;
  readonly staleAs: 400 | 410;
  /** Identical requests are answered from a cache for this long. */
  readonly cacheMs: number;
  readonly latencyMs: number;
}

export interface StreamTraits {
  readonly bounds: 'honoured' | 'ignored';
  readonly sinceInclusive: boolean;
  readonly untilInclusive: boolean;
  readonly sinceWithCursor: boolean;
  readonly outsideRange: 'empty' | 418;
}

export interface DataTraits {
  readonly count: number;
  readonly ids: 'uuid' | 'text' | 'text-16' | 'long-prefix' | 'newest-uuid' | 'case-pairs';
  readonly idKey: 'id' | '_id';
  /** Every so many events have an unusable id; 0: none. */
  readonly badIdEvery: number;
  /** Every so many events have no time, or no usable one; 0: none. */
  readonly noTimeEvery: number;
  /** Milliseconds between instants. */
  readonly gapMs: number;
  readonly perInstant: number;
  /** Every so many events come late, by up to `lateMs`; 0: none. Hidden by the order only where that is `arrival`. */
  readonly lateEvery: number;
  /** So many come late together: a phone that was offline. */
  readonly lateTogether: number;
  readonly lateMs: number;
  /** How many ids the API has twice, and how far apart. */
  readonly doubled: { readonly count: number; readonly where: 'adjacent' | 'near' | 'far' };
}

export type ApiName = 'first' | 'other';

export type Step = StartStep | GrowStep | LoseStep | TableStep | VerifyStep | ExportStep;

export interface StartStep {
  readonly do: 'start';
  readonly api: ApiName;
  readonly flags: StartFlags;
  readonly faults: readonly Fault[];
  /** The API grows while pages are asked for. */
  readonly growth: readonly { readonly atPage: number; readonly top: number; readonly late: number }[];
  readonly end: { readonly how: 'runs' | 'drain' | 'kill'; readonly atPage: number; readonly delayMs: number };
}

export interface StartFlags {
  readonly full?: boolean;
  readonly newRun?: boolean;
  readonly acceptFewerRows?: boolean;
  readonly lookback?: '0' | '60' | '10m';
  /** Parts of the first events' time, 0 to 1. */
  readonly range?: { readonly since: number; readonly until: number };
  readonly concurrency?: number;
  /** `cap`: as much as the API gives. Only then does the job know how many pages a window has, and divide it. */
  readonly pageSize?: number | 'cap';
  readonly mergeInterval?: number;
  readonly maxRejected?: '5' | '100%';
  readonly idType?: 'uuid' | 'text';
}

export const FAULTS = [
  'error-beside-empty-list',
  'error-beside-empty-list-and-end',
  'success-false',
  'status-code-in-body',
  'teapot',
  'empty-end',
  'empty-and-more',
  'empty-with-cursor',
  'no-flag',
  '500',
  '502-html',
  '429',
  'cut-json',
  'cut-body',
  'stream-403',
  'stream-404',
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Which requests for a page count: those without a cursor, those with one, or all. */
  readonly on: 'first' | 'cursor' | 'any';
  readonly nth: number;
  /** How often in a row; `null`: until the start ends. */
  readonly times: number | null;
}

/** Events arrive: new ones on top, late ones whose own time is older by up to `lateMs`. */
export interface GrowStep {
  readonly do: 'grow';
  readonly top: number;
  readonly late: number;
  readonly lateMs: number;
}

/** The API forgets events. */
export interface LoseStep {
  readonly do: 'lose';
  readonly which: 'oldest' | 'any';
  readonly count: number;
}

export const TABLE_DEEDS = [
  'truncate',
  'drop',
  'delete-rows',
  'add-check',
  'add-version-check',
  'drop-checks',
  'add-swallowing-trigger',
  'drop-trigger',
  'make-key-case-blind',
  'keep-table',
  'restore-table',
  'keep-database',
  'restore-database',
] as const;

export interface TableStep {
  readonly do: 'table';
  readonly deed: (typeof TABLE_DEEDS)[number];
  /** For `delete-rows`: every so many rows. */
  readonly every: number;
}

export interface VerifyStep {
  readonly do: 'verify';
  readonly api: ApiName;
}

export interface ExportStep {
  readonly do: 'export';
}
