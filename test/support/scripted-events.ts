/** Events of a scripted API: each has a number, from 0 for the newest, by which a test can name it. */
import { createHash } from 'node:crypto';

export interface ScriptedEvent extends Readonly<Record<string, unknown>> {
  /** Epoch milliseconds; what `since` and `until` go by. */
  readonly timestamp: number;
  readonly name: string;
}

/** Time of event 0. */
export const NEWEST_MS = Date.UTC(2026, 0, 27, 19, 20, 12);
const SECOND_MS = 1_000;

/** A UUID made from a text: the same text gives the same one. */
export function uuidFrom(text: string): string {
  const hex = createHash('md5').update(text).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Event `n` happened `n` seconds before event 0. `changes` are laid over it; `undefined` leaves a field out of the JSON. */
export function eventNumber(n: number, changes: Readonly<Record<string, unknown>> = {}): ScriptedEvent {
  const session = uuidFrom(`session ${n % 50}`);
  return {
    id: uuidFrom(`event ${n}`),
    sessionId: session,
    userId: uuidFrom(`user ${n % 7}`),
    type: 'page_view',
    name: `event_${n}`,
    properties: { n },
    timestamp: NEWEST_MS - n * SECOND_MS,
    session: { id: session, deviceType: 'mobile', browser: 'Chrome' },
    ...changes,
  };
}

/** Newest first. @param changes may change single events */
export function eventsUpTo(
  count: number,
  changes: (n: number) => Readonly<Record<string, unknown>> = () => ({}),
): ScriptedEvent[] {
  return Array.from({ length: count }, (_, n) => eventNumber(n, changes(n)));
}

/** `count` events newer than event 0; the newest is first. */
export function newerEvents(
  count: number,
  changes: (n: number) => Readonly<Record<string, unknown>> = () => ({}),
): ScriptedEvent[] {
  return Array.from({ length: count }, (_, index) => eventNumber(index - count, changes(index - count)));
}

/** As an API serves them that goes by time. Events of one time keep their order. */
export function newestFirst(events: readonly ScriptedEvent[]): ScriptedEvent[] {
  return [...events].sort((a, b) => b.timestamp - a.timestamp);
}
