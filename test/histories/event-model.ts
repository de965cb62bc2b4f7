/** The events of the model: what the API serves for each, and what its row must be. */
import { createHash } from 'node:crypto';
import type { DataTraits } from './history.ts';

/** Newest time of the first events. In the past, so that nothing depends on the hour of the test. */
export const NEWEST_MS = Date.UTC(2026, 0, 27, 19, 20, 12);

/** One entry of the API's list. */
export interface Place {
  /** Number in order of arrival; no two places have the same. */
  readonly seq: number;
  /** Number of the event; two places with one id have the same. */
  readonly n: number;
  /** 2 for the second place of an id. */
  readonly version: 1 | 2;
  /** The list is in descending order of this. */
  readonly orderMs: number;
  /** What bounds look at. */
  readonly ownMs: number;
  /** The served event does not say its time. */
  readonly isTimeless: boolean;
  readonly body: string;
  /** `null`: the event has no usable id. */
  readonly id: string | null;
  readonly row: TargetRow;
  readonly arrivedAtMs: number;
  /** It came after the first events. */
  readonly isNews: boolean;
}

export interface TargetRow {
  readonly session_id: string | null;
  readonly user_id: string | null;
  readonly type: string | null;
  readonly name: string | null;
  readonly properties: unknown;
  readonly micros: string | null;
  readonly device_type: string | null;
  readonly browser: string | null;
  readonly extra: unknown;
}

export interface NewPlace {
  readonly seq: number;
  readonly n: number;
  readonly version: 1 | 2;
  readonly orderMs: number;
  readonly ownMs: number;
  readonly isNews: boolean;
}

const BAD_IDS: readonly unknown[] = ['', null, undefined, { not: 'an id' }];
const PREFIX = 'a-text-id-whose-beginning-is-the-same-as-that-of-all-the-others/'.repeat(4).slice(0, 211);
/** How many of the newest ids are UUIDs where only the newest are. */
const NEWEST_UUIDS = 100;

/** What an event says, however it is written: keys in order, times as instants. */
export function valueOf(body: string): string {
  return JSON.stringify(JSON.parse(body), (key, value: unknown) => {
    if (key === 'timestamp' && typeof value === 'string') return instantOf(value);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function instantOf(text: string): number | string {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? text : ms;
}

export function uuidOf(text: string): string {
  const hash = createHash('md5').update(text).digest('hex');
  const at = [0, 8, 12, 16, 20, 32];
  return [0, 1, 2, 3, 4].map((part) => hash.slice(at[part], at[part + 1])).join('-');
}

function idText(data: DataTraits, salt: string, n: number): string {
  switch (data.ids) {
    case 'uuid':
      return uuidOf(`${salt}/event/${n}`);
    case 'text':
      return `evt-${salt}-${n}`;
    case 'text-16':
      return `e${salt}-`.slice(0, 8).padEnd(8, '-') + String(n).padStart(8, '0');
    case 'long-prefix':
      return `${PREFIX}${salt}-${String(n).padStart(12, '0')}`;
    case 'case-pairs':
      return n % 2 === 0 ? `id-${salt}-${n}` : `ID-${salt}-${n - 1}`;
    case 'newest-uuid':
      return n < NEWEST_UUIDS ? uuidOf(`${salt}/event/${n}`) : `evt-${salt}-${n}`;
  }
}

export function makePlace(data: DataTraits, salt: string, place: NewPlace): Place {
  const { n, version, ownMs } = place;
  const isBad = data.badIdEvery > 0 && n % data.badIdEvery === data.badIdEvery - 1;
  const isTimeless = data.noTimeEvery > 0 && n % data.noTimeEvery === data.noTimeEvery - 1;
  const id = isBad ? BAD_IDS[n % BAD_IDS.length] : idText(data, salt, n);
  const sessionId = uuidOf(`${salt}/session/${n % 9}`);
  const userId = uuidOf(`${salt}/user/${n % 4}`);
  const properties = version === 1 ? { n, of: salt } : { n, of: salt, v: version };
  const badTime = isTimeless && n % 2 === 0 ? 'soon' : undefined;
  const timestamp = isTimeless ? badTime : n % 3 === 0 ? new Date(ownMs).toISOString() : ownMs;
  const event = {
    [data.idKey]: id,
    sessionId,
    userId,
    type: n % 2 === 0 ? 'page_view' : 'click',
    name: `event_${n}`,
    properties,
    timestamp,
    session: { id: sessionId, deviceType: 'mobile', browser: 'Chrome' },
  };
  return {
    ...place,
    isTimeless,
    body: JSON.stringify(event),
    id: isBad || data.idKey !== 'id' || typeof id !== 'string' ? null : id,
    row: {
      session_id: sessionId,
      user_id: userId,
      type: event.type,
      name: event.name,
      properties,
      micros: isTimeless ? null : `${ownMs}000`,
      device_type: 'mobile',
      browser: 'Chrome',
      extra: badTime === undefined ? null : { timestamp: badTime },
    },
    arrivedAtMs: Date.now(),
  };
}
