/** The events of a draw, and their values as a row has them: written apart from the program's encoder. */
import { NEWEST_MS, uuidFrom, type ScriptedEvent } from '../support/scripted-events.ts';
import type { Draw, IdType } from './drawing.ts';

const SECOND_MS = 1_000;
/** Events of the later load are newer than all others. */
const LATER_MS = 3_600_000;

export interface SourceEvents {
  /** Newest first, as they are served. */
  readonly first: readonly ScriptedEvent[];
  readonly later: readonly ScriptedEvent[];
}

/** The values of a row by column. */
export interface EventRow {
  readonly id: string;
  readonly session_id: string | null;
  readonly user_id: string | null;
  readonly type: string;
  readonly name: string;
  readonly properties: string;
  readonly occurred_at: string;
  readonly device_type: string | null;
  readonly browser: string | null;
}

/** A number below `below` that depends on the text alone. */
function hashed(text: string, below: number): number {
  return Number.parseInt(uuidFrom(text).slice(0, 6), 16) % below;
}

export function idOf(n: number, { ids }: Draw['source']): string {
  const isText = ids === 'text' || (ids === 'mixed' && hashed(`kind ${n}`, 10) === 0);
  return isText ? `text id ${n}` : uuidFrom(`event ${n}`);
}

function eventNumber(
  n: number,
  source: Draw['source'],
  changes: Readonly<Record<string, unknown>> = {},
): ScriptedEvent {
  const mark = hashed(`mark ${n}`, 100);
  const type = mark < source.marked ? 'bad' : mark < 2 * source.marked ? 'worse' : 'page_view';
  // A session that is an event: one that is served before it. Whether one that is served later has its row in time depends on
  // where a merge is closed, and so does one whose id comes twice, when the newer one is refused.
  const earlier = n - (n % 5);
  const hasNone = n % 3 === 0 || isDoubled(earlier, source);
  const session = hasNone ? undefined : n % 7 === 0 ? uuidFrom('nobody') : idOf(earlier, source);
  return {
    id: idOf(n, source),
    sessionId: session,
    userId: uuidFrom(`user ${((n % 8) + 8) % 8}`),
    type,
    // Every twelfth has the name of the one that was served before it.
    name: `event_${n > 0 && n % 12 === 5 ? n - 1 : n}`,
    properties: { n },
    timestamp: NEWEST_MS - n * SECOND_MS,
    session: { id: session, deviceType: 'mobile', ...(n % 9 === 0 ? {} : { browser: 'Chrome' }) },
    ...changes,
  };
}

function isDoubled(n: number, { count, doubled }: Draw['source']): boolean {
  return n >= 0 && n < count && hashed(`twin ${n}`, count) < doubled;
}

/** The older one of an id that comes twice: another event, further back. */
function olderTwin(n: number, source: Draw['source']): ScriptedEvent {
  const back = 7 + hashed(`back ${n}`, source.count);
  return eventNumber(n, source, {
    type: 'page_view',
    name: `twin_${n}`,
    timestamp: NEWEST_MS - n * SECOND_MS - back * SECOND_MS - 1,
  });
}

export function sourceEvents({ source }: Draw): SourceEvents {
  const { count, newer, changed } = source;
  const numbered = Array.from({ length: count }, (_, n) => n);
  const twins = numbered.filter((n) => isDoubled(n, source)).map((n) => olderTwin(n, source));
  const first = served([...numbered.map((n) => eventNumber(n, source)), ...twins]);
  const isChanged = (n: number): boolean => hashed(`changed ${n}`, count) < changed;
  const later = served([
    ...Array.from({ length: newer }, (_, k) =>
      eventNumber(-1 - k, source, { timestamp: NEWEST_MS + LATER_MS + k * SECOND_MS }),
    ),
    ...numbered.map((n) => eventNumber(n, source, isChanged(n) ? changedBy(n) : {})),
    ...twins,
  ]);
  return { first, later };
}

function changedBy(n: number): Readonly<Record<string, unknown>> {
  const type = ['page_view', 'bad', 'worse', 'click'][hashed(`new type ${n}`, 4)];
  return { type, name: `changed_${n}`, properties: { n, changed: true }, timestamp: NEWEST_MS - n * SECOND_MS + 500 };
}

function served(events: readonly ScriptedEvent[]): ScriptedEvent[] {
  return [...events].sort((a, b) => b.timestamp - a.timestamp);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface IdTypes {
  readonly id: IdType;
  readonly session_id: IdType;
  readonly user_id: IdType;
}

/** @returns `null` for an event whose id does not fit the column: it can have no row */
export function rowOf(event: ScriptedEvent, types: IdTypes): EventRow | null {
  const fitting = (value: unknown, type: IdType): string | null =>
    typeof value === 'string' && (type === 'text' || UUID.test(value)) ? value : null;
  const id = fitting(event['id'], types.id);
  if (id === null) return null;
  const session: unknown = event['session'];
  const text = (name: string): string | null => {
    const value: unknown = typeof session === 'object' && session !== null ? Reflect.get(session, name) : null;
    return typeof value === 'string' ? value : null;
  };
  return {
    id,
    session_id: fitting(event['sessionId'], types.session_id),
    user_id: fitting(event['userId'], types.user_id),
    type: String(event['type']),
    name: event.name,
    properties: JSON.stringify(event['properties']),
    occurred_at: new Date(event.timestamp).toISOString(),
    device_type: text('deviceType'),
    browser: text('browser'),
  };
}
