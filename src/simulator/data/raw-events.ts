/** Events that a test writes by hand and wants served in a place of its choice, whatever is in them. */
import { BlockBuilder, type Block } from './population.ts';
import type { OddEvent } from './event-writer.ts';

export interface RawEvent {
  /** Rank in the finished data set, 0 is the first event of the first page; beyond the end: last. */
  readonly position: number;
  /** Served as it is. Bytes need not even be UTF-8. */
  readonly raw: string | Uint8Array;
  /** Its identity for the books; without it, the JSON's `id`, `eventId` or `event_id` when that is a text or a number. */
  readonly id?: string | null;
  /** Epoch µs for the books; without it unknown (`null`). */
  readonly occurredAtMicros?: number | null;
  /** Epoch µs that give its place in time windows; without it, its neighbour's. */
  readonly keyMicros?: number;
}

export function rawBytes(raw: string | Uint8Array): Uint8Array {
  return typeof raw === 'string' ? Buffer.from(raw) : raw;
}

/** A block of one event that has no place in the order of ids: cursors name it by its position. */
export function rawBlock(event: RawEvent, keyMicros: number): Block {
  const bytes = rawBytes(event.raw);
  const builder = new BlockBuilder(bytes.length + 1, 1);
  const odd: OddEvent = {
    id: event.id === undefined ? parsedIdentity(bytes).id : event.id,
    occurredAtMicros: event.occurredAtMicros ?? null,
  };
  builder.addRaw(bytes, keyMicros, odd);
  return builder.build(-1);
}

/** What a hand-written event calls itself. Numbers keep their digits. */
export function parsedIdentity(raw: Uint8Array): { id: string | null } {
  const text = Buffer.from(raw).toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return { id: null };
    for (const [key, id] of Object.entries(value)) {
      if (key !== 'id' && key !== 'eventId' && key !== 'event_id') continue;
      if (typeof id === 'string' && id !== '') return { id };
      if (typeof id === 'number')
        return { id: /"(?:id|eventId|event_id)"\s*:\s*(-?[\d.eE+]+)/.exec(text)?.[1] ?? String(id) };
    }
    return { id: null };
  } catch {
    return { id: null };
  }
}
