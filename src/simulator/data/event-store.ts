/**
 * The data set in serving order: a list of segments, each a range of events in one block. Rank 0 is the newest event.
 * An event that arrives, or that a test places, splits a segment; no byte is ever moved.
 */
import type { Block } from './population.ts';

interface Segment {
  readonly block: Block;
  readonly from: number;
  readonly to: number;
}

/** What the source knows about an event. */
export interface TrueEvent {
  /** `null`: the event has no usable id and must be rejected. */
  readonly id: string | null;
  /** Epoch µs, `null` when it has no valid time. */
  readonly occurredAtMicros: number | null;
  /** Its exact bytes. A view of the store: do not write to it. */
  readonly raw: Uint8Array;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const CLOSE = 0x7d;

export class EventStore {
  private segments: Segment[] = [];
  /** Rank of each segment's first event, and the number of all events at the end. */
  private starts: number[] = [0];

  get count(): number {
    return this.starts.at(-1) ?? 0;
  }

  append(block: Block): void {
    this.setSegments([...this.segments, { block, from: 0, to: block.count }]);
  }

  /** Inserts each block before the event that has the given rank now. */
  insert(placed: readonly { readonly rank: number; readonly block: Block }[]): void {
    const sorted = [...placed].sort((a, b) => a.rank - b.rank);
    const segments: Segment[] = [];
    let next = 0;
    this.segments.forEach((segment, index) => {
      const start = this.starts[index] ?? 0;
      let { from } = segment;
      for (
        let item = sorted[next];
        item !== undefined && item.rank < start + segment.to - segment.from;
        item = sorted[next]
      ) {
        const split = segment.from + Math.max(0, item.rank - start);
        if (split > from) segments.push({ block: segment.block, from, to: split });
        from = Math.max(from, split);
        segments.push({ block: item.block, from: 0, to: item.block.count });
        next += 1;
      }
      segments.push({ block: segment.block, from, to: segment.to });
    });
    for (const { block } of sorted.slice(next)) segments.push({ block, from: 0, to: block.count });
    this.setSegments(segments);
  }

  private setSegments(segments: Segment[]): void {
    this.segments = segments.filter(({ from, to }) => to > from);
    this.starts = [0];
    let rank = 0;
    for (const { from, to } of this.segments) {
      rank += to - from;
      this.starts.push(rank);
    }
  }

  private segmentAt(rank: number): number {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.starts[middle] ?? 0) <= rank) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private place(rank: number): { block: Block; index: number } | null {
    if (rank < 0 || rank >= this.count) return null;
    const at = this.segmentAt(rank);
    const segment = this.segments[at];
    return segment === undefined ? null : { block: segment.block, index: segment.from + rank - (this.starts[at] ?? 0) };
  }

  /** The time that orders the event, epoch µs. */
  keyMicros(rank: number): number {
    const place = this.place(rank);
    return place === null ? Number.NEGATIVE_INFINITY : (place.block.keyMicros[place.index] ?? 0);
  }

  /** The id that orders the event among those of its instant; `null` when it has no usable one. */
  orderId(rank: number): string | null {
    const place = this.place(rank);
    if (place === null || place.block.idStart < 0 || place.block.special.get(place.index)?.id === null) return null;
    return idAt(place.block, place.index);
  }

  /** A name for the event's position, for the cursor behind an event without an order id. */
  placeName(rank: number): string {
    const place = this.place(rank);
    return place === null ? '' : `#${this.blockNumber(place.block)}.${place.index}`;
  }

  private readonly blockNumbers = new Map<Block, number>();
  private blockNumber(block: Block): number {
    const known = this.blockNumbers.get(block);
    if (known !== undefined) return known;
    this.blockNumbers.set(block, this.blockNumbers.size);
    return this.blockNumbers.size - 1;
  }

  /** @returns the rank of the first event after the one that a cursor names */
  rankAfter(id: string, micros: number): number {
    const named = /^#(\d+)\.(\d+)$/.exec(id);
    if (named !== null) {
      const index = Number(named[2]);
      const at = this.segments.findIndex(
        ({ block, from, to }) => index >= from && index < to && this.blockNumbers.get(block) === Number(named[1]),
      );
      const segment = this.segments[at];
      if (segment !== undefined) return (this.starts[at] ?? 0) + index - segment.from + 1;
    }
    const last = this.rankOlderThan(micros);
    let low = this.rankAtOrOlderThan(micros);
    let high = last;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.isAfter(middle, last, id)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** True when the event at `rank` comes after `id` within an instant that ends before rank `end`. */
  private isAfter(rank: number, end: number, id: string): boolean {
    // An event without an id stands where the next event with one stands.
    for (let at = rank; at < end; at += 1) {
      const own = this.orderId(at);
      if (own !== null) return own.length < id.length || (own.length === id.length && own < id);
    }
    return true;
  }

  /** @returns the first rank whose time is at or before `micros` */
  rankAtOrOlderThan(micros: number): number {
    return this.firstRank((key) => key <= micros);
  }

  /** @returns the first rank whose time is before `micros` */
  rankOlderThan(micros: number): number {
    return this.firstRank((key) => key < micros);
  }

  private firstRank(holds: (keyMicros: number) => boolean): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.keyMicros(middle))) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The events' bytes with commas between them: views, not copies. */
  slices(from: number, to: number): Buffer[] {
    const views: Buffer[] = [];
    for (let rank = from; rank < to;) {
      const at = this.segmentAt(rank);
      const segment = this.segments[at];
      if (segment === undefined) break;
      const start = segment.from + rank - (this.starts[at] ?? 0);
      const end = Math.min(segment.to, start + to - rank);
      rank += end - start;
      const { bytes, offsets } = segment.block;
      views.push(bytes.subarray(offsets[start], (offsets[end] ?? 0) - (rank >= to ? 1 : 0)));
    }
    return views;
  }

  event(rank: number): TrueEvent | null {
    const place = this.place(rank);
    if (place === null) return null;
    const { block, index } = place;
    return eventAt(block, index);
  }

  /** @yields every event in serving order; events that are added meanwhile are not seen */
  *events(): Generator<TrueEvent> {
    for (const { block, from, to } of [...this.segments]) {
      for (let index = from; index < to; index += 1) yield eventAt(block, index);
    }
  }

  /** @yields ids of the hand-written events, and of the generated ones without a usable id or time */
  *specialIds(): Generator<string | null> {
    for (const { block, from, to } of this.segments) {
      for (const [index, { id }] of block.special) if (index >= from && index < to) yield id;
    }
  }

  /** @returns ranks of a session's events, newest first; searches all bytes, because the filter is rarely used */
  ranksOfSession(sessionId: string): number[] {
    const needle = Buffer.from(`"sessionId":"${sessionId}"`);
    const ranks: number[] = [];
    this.segments.forEach(({ block, from, to }, at) => {
      const end = block.offsets[to] ?? 0;
      let found = block.bytes.indexOf(needle, block.offsets[from]);
      while (found >= 0 && found < end) {
        const index = upperBound(block.offsets, found) - 1;
        ranks.push((this.starts[at] ?? 0) + index - from);
        found = block.bytes.indexOf(needle, block.offsets[index + 1]);
      }
    });
    return ranks;
  }
}

function upperBound(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function eventAt(block: Block, index: number): TrueEvent {
  const raw = block.bytes.subarray(block.offsets[index], (block.offsets[index + 1] ?? 0) - 1);
  const special = block.special.get(index);
  if (special !== undefined) return { ...special, raw };
  return { id: idAt(block, index), occurredAtMicros: block.keyMicros[index] ?? null, raw };
}

/** The block's ids must have a place in the order. */
function idAt(block: Block, index: number): string {
  const start = (block.offsets[index] ?? 0) + block.idStart;
  let end = start;
  for (let byte = block.bytes[end]; byte !== QUOTE && byte !== COMMA && byte !== CLOSE; byte = block.bytes[end])
    end += 1;
  return block.bytes.toString('latin1', start, end);
}
