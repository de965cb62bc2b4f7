/** Events that a test writes by hand and places where it likes, whatever they contain. */
import { BlockBuilder, type Block } from './population.ts';

export interface RawEvent {
  /** Rank in the finished data set; 0 is the first event of the first page, a rank beyond the end means last. */
  readonly position: number;
  /** Served unchanged. Bytes need not be UTF-8. */
  readonly raw: string | Uint8Array;
  /** The expected id; without it, the JSON's `id`, `eventId` or `event_id` if that is a string or a number. */
  readonly id?: string | null;
  /** The expected time, epoch µs; `null` unless given. */
  readonly occurredAtMicros?: number | null;
  /** The time that orders it, epoch µs; its neighbour's unless given. */
  readonly keyMicros?: number;
}

/** @returns a block of one event that has no place in the order of ids: cursors name it by its position */
export function rawBlock(event: RawEvent, keyMicros: number): Block {
  const bytes = typeof event.raw === 'string' ? Buffer.from(event.raw) : event.raw;
  const builder = new BlockBuilder(bytes.length + 1, 1);
  builder.addRaw(bytes, keyMicros, {
    id: event.id === undefined ? parsedId(bytes) : event.id,
    occurredAtMicros: event.occurredAtMicros ?? null,
  });
  return builder.build(-1);
}

/** @returns the id in a hand-written event's JSON; a number keeps its digits */
function parsedId(raw: Uint8Array): string | null {
  const text = Buffer.from(raw).toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    for (const [key, id] of Object.entries(value)) {
      if (key !== 'id' && key !== 'eventId' && key !== 'event_id') continue;
      if (typeof id === 'string' && id !== '') return id;
      if (typeof id === 'number') return /"(?:id|eventId|event_id)"\s*:\s*(-?[\d.eE+]+)/.exec(text)?.[1] ?? String(id);
    }
    return null;
  } catch {
    return null;
  }
}
