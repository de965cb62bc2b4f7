import { hasDoubledKey } from '../scan/doubled-keys.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import { FIELD, KIND } from '../scan/fields.ts';
import { JsonCursor } from '../scan/json-cursor.ts';

/** Where an event has a key twice in one object; `null`: nowhere. PostgreSQL keeps its last value, as the columns do. */
export function fieldOfDoubledKey(body: Uint8Array, slices: EventSlices): 'properties' | 'event' | null {
  const cursor = new JsonCursor(body);
  cursor.takesControls = true;
  if (slices.kindOf(FIELD.properties) === KIND.object) {
    const { start, end } = slices.of(FIELD.properties);
    if (hasDoubledKey(cursor, start, end)) return 'properties';
  }
  return hasDoubledKey(cursor, slices.start, slices.end) ? 'event' : null;
}
