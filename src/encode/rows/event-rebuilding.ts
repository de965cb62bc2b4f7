import { EventSlices } from '../scan/event-slices.ts';
import {
  FIELD,
  type FieldGroup,
  ID_FIELDS,
  isString,
  KIND,
  SESSION_BITS,
  SESSION_KEYS,
  TIME_FIELDS,
  TYPE_FIELDS,
} from '../scan/fields.ts';
import { JsonCursor } from '../scan/json-cursor.ts';
import { decodeToString } from '../scan/json-strings.ts';
import type { MemberList } from '../scan/member-list.ts';
import { TimeReader } from '../../core/times.ts';
import type { CopyColumnName } from './event-columns.ts';

/** A row of `ingested_events`, each column as PostgreSQL prints it (`column::text`; times with DateStyle ISO). */
export type StoredEvent = Readonly<Record<Exclude<CopyColumnName, 'source_order' | 'id'>, string | null>> & {
  readonly id: string;
};

/**
 * A row → the JSON text of its event. It differs from the event in white space, key order, doubled keys, the spelling of
 * times, UUIDs and (as jsonb normalises them) numbers, and in what an anomaly says was repaired. How to read `extra`:
 *
 * - the event had every member that is in `extra`;
 * - a column whose field is not in `extra` under any spelling gives the canonical one (`id`, `type`, `timestamp`);
 * - if `extra` has only another spelling (`eventId`) with the column's value, the event had no canonical one;
 * - `session.id` is `sessionId`, unless `extra` has a `session.id`, or a `sessionId`: then the session had no id;
 * - there was a session if one of its columns is not null, or if it is in `extra`.
 */
export function rebuildEvent(row: StoredEvent): string {
  return new Rebuilding(row).text();
}

class Rebuilding {
  readonly #row: StoredEvent;
  readonly #extra: Uint8Array;
  readonly #slices = new EventSlices();
  readonly #members: string[] = [];

  constructor(row: StoredEvent) {
    this.#row = row;
    this.#extra = new TextEncoder().encode(row.extra ?? '{}');
    this.#slices.read(new JsonCursor(this.#extra), 0);
  }

  text(): string {
    const row = this.#row;
    this.#addColumn(ID_FIELDS, 'id', row.id);
    this.#addUnlessInExtra(FIELD.sessionId, 'sessionId', row.session_id);
    this.#addUnlessInExtra(FIELD.userId, 'userId', row.user_id);
    this.#addColumn(TYPE_FIELDS, 'type', row.type);
    this.#addUnlessInExtra(FIELD.name, 'name', row.name);
    if (row.properties !== null) this.#members.push(`"properties":${row.properties}`);
    this.#addColumn(TIME_FIELDS, 'timestamp', row.occurred_at);
    this.#addSession();
    this.#addExtra();
    return `{${this.#members.join(',')}}`;
  }

  #addUnlessInExtra(field: number, key: string, value: string | null): void {
    if (value !== null && !this.#slices.has(field)) this.#members.push(memberOf(key, value));
  }

  #addColumn(group: FieldGroup, key: string, value: string | null): void {
    if (value === null || this.#slices.has(group.canonical)) return;
    const isOtherSpelling = group.fields.some((field) => this.#slices.has(field) && this.#isSame(group, field, value));
    if (!isOtherSpelling) this.#members.push(memberOf(key, value));
  }

  #isSame(group: FieldGroup, field: number, value: string): boolean {
    const slices = this.#slices;
    const kind = slices.kindOf(field);
    if (!isString(kind) && kind !== KIND.number) return false;
    const { start, end } = slices.of(field);
    const extraValue = decodeToString(this.#extra, start, end);
    if (group === TIME_FIELDS) return isSameTime(extraValue, kind, value);
    // jsonb gives numbers back in another spelling: 1e3 as 1000.
    if (kind === KIND.number) return Number(extraValue) === Number(value);
    return extraValue === value || (group === ID_FIELDS && isSameUuid(extraValue, value));
  }

  #addSession(): void {
    const { device_type: deviceType, browser, session_id: sessionId } = this.#row;
    const kind = this.#slices.kindOf(FIELD.session);
    const hasSession = kind === KIND.object || deviceType !== null || browser !== null;
    if (!hasSession) return;
    const members: string[] = [];
    if (sessionId !== null && !this.#slices.has(FIELD.sessionId) && !this.#slices.has(FIELD.sessionDotId)) {
      members.push(memberOf('id', sessionId));
    }
    if (deviceType !== null) members.push(memberOf('deviceType', deviceType));
    if (browser !== null) members.push(memberOf('browser', browser));
    for (const [, field] of SESSION_KEYS) {
      if (this.#slices.has(field)) members.push(this.#memberInExtra(field));
    }
    members.push(...this.#membersOf(this.#slices.sessionOthers));
    this.#members.push(`"session":{${members.join(',')}}`);
  }

  #addExtra(): void {
    for (const field of Object.values(FIELD)) {
      const isPartOfSession = (SESSION_BITS & (1 << field)) !== 0;
      const isSessionObject = field === FIELD.session && this.#slices.kindOf(field) === KIND.object;
      if (this.#slices.has(field) && !isPartOfSession && !isSessionObject)
        this.#members.push(this.#memberInExtra(field));
    }
    this.#members.push(...this.#membersOf(this.#slices.others));
  }

  #memberInExtra(field: number): string {
    return this.#textOf(this.#slices.of(field).keyStart, this.#slices.memberEndOf(field));
  }

  #membersOf(list: MemberList): string[] {
    return Array.from({ length: list.count }, (_, index) => this.#textOf(list.startOf(index), list.endOf(index)));
  }

  #textOf(start: number, end: number): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#extra.subarray(start, end));
  }
}

function memberOf(key: string, value: string): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

function isSameTime(extraValue: string, kind: number, columnText: string): boolean {
  const [extra, column] = [Buffer.from(extraValue), Buffer.from(columnText)];
  const [time, columnTime] = [new TimeReader(), new TimeReader()];
  const isTime = kind === KIND.number ? time.readNumber(extra, 0, extra.length) : time.readText(extra, 0, extra.length);
  return isTime && columnTime.readText(column, 0, column.length) && time.isSame(columnTime);
}

function isSameUuid(left: string, right: string): boolean {
  const digits = (text: string): string => text.replaceAll(/[-{}]/g, '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits(left)) && digits(left) === digits(right);
}
