/** Renders the data set into blocks of bytes, newest event first: a page is a slice of them. */
import { eventTimes, timestampFormatOf } from './event-times.ts';
import { EventWriter, MAX_GENERATED_EVENT_BYTES, type EventPlan, type SpecialEvent } from './event-writer.ts';
import { fraction, hash32, purposeSeed } from './random.ts';
import type { SimulatorSettings } from '../settings.ts';
import { hasMicros } from './timestamp-text.ts';

const BLOCK_BYTES = 256 * 1024 * 1024;
const LIKELY_EVENT_BYTES = 400;
const SHORTEST_EVENT_BYTES = 100;

/** Consecutive events, each followed by a comma. Read-only once built. */
export interface Block {
  readonly bytes: Buffer;
  readonly count: number;
  /** Where event i starts, and the end of the last one. */
  readonly offsets: Uint32Array;
  /** The time that orders the events, epoch µs. */
  readonly keyMicros: Float64Array;
  readonly special: ReadonlyMap<number, SpecialEvent>;
  /** Offset of the id in an event; -1: the ids of this block have no place in the order. */
  readonly idStart: number;
}

export class BlockBuilder {
  private bytes: Buffer;
  private readonly offsets: Uint32Array;
  private readonly keyMicros: Float64Array;
  private readonly special = new Map<number, SpecialEvent>();
  private used = 0;
  count = 0;

  constructor(capacityBytes: number, capacityEvents: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacityBytes);
    this.offsets = new Uint32Array(capacityEvents + 1);
    this.keyMicros = new Float64Array(capacityEvents);
  }

  get full(): boolean {
    return this.count >= this.keyMicros.length || this.used + MAX_GENERATED_EVENT_BYTES > this.bytes.length;
  }

  add(writer: EventWriter, plan: EventPlan): void {
    this.keyMicros[this.count] = plan.micros;
    this.used = writer.write(this.bytes, this.used, plan, (special) => this.special.set(this.count, special));
    this.count += 1;
    this.offsets[this.count] = this.used;
  }

  addRaw(raw: Uint8Array, keyMicros: number, special: SpecialEvent): void {
    this.bytes.set(raw, this.used);
    this.used += raw.length;
    this.bytes[this.used++] = 0x2c;
    this.keyMicros[this.count] = keyMicros;
    this.special.set(this.count, special);
    this.count += 1;
    this.offsets[this.count] = this.used;
  }

  build(idStart: number): Block {
    const { bytes, used, count, offsets, keyMicros, special } = this;
    return {
      // A small block must not keep the room that was reserved for the longest events.
      bytes: used * 2 < bytes.length ? Buffer.from(bytes.subarray(0, used)) : bytes.subarray(0, used),
      count,
      offsets: offsets.subarray(0, count + 1),
      keyMicros: keyMicros.subarray(0, count),
      special,
      idStart,
    };
  }
}

/** Makes the events of a data set: those at the start, and those that arrive later. */
export class Population {
  readonly writer: EventWriter;
  private readonly settings: SimulatorSettings;
  private readonly formatAt: ReturnType<typeof timestampFormatOf>;
  private readonly idSeed: number;
  private readonly microSeed: number;
  private readonly arrivalSeed: number;
  private arrived = 0;

  constructor(settings: SimulatorSettings) {
    this.settings = settings;
    this.writer = new EventWriter(settings);
    this.formatAt = timestampFormatOf(settings);
    this.idSeed = purposeSeed(settings.seed, 'id');
    this.microSeed = purposeSeed(settings.seed, 'micro');
    this.arrivalSeed = purposeSeed(settings.seed, 'arrival');
  }

  /** @returns the blocks of the start, newest event first */
  render(): Block[] {
    const times = eventTimes(this.settings);
    const { length } = times;
    const blocks: Block[] = [];
    let builder: BlockBuilder | null = null;
    let rank = 0;
    while (rank < length) {
      let groupEnd = rank + 1;
      while (groupEnd < length && times[groupEnd] === times[rank]) groupEnd += 1;
      const groupSize = groupEnd - rank;
      for (let place = 0; place < groupSize; place += 1, rank += 1) {
        if (builder === null || builder.full) {
          if (builder !== null) blocks.push(builder.build(this.writer.idStart));
          builder = blockFor(length - rank);
        }
        builder.add(this.writer, this.plan(rank, length - rank, times[rank] ?? 0, place, groupSize));
      }
    }
    if (builder !== null) blocks.push(builder.build(this.writer.idStart));
    return blocks;
  }

  private plan(rank: number, serial: number, ms: number, place: number, groupSize: number): EventPlan {
    const format = this.formatAt(rank);
    // Ids descend within an instant without sorting: the head is the place in the instant plus a random fraction of a place.
    const chance = hash32(this.idSeed, serial) / 0x1_0000_0000;
    const idHead = Math.floor(((groupSize - 1 - place + chance) / groupSize) * 0x1_0000_0000) >>> 0;
    // Only for a single event in its millisecond: among several, microseconds would contradict the order of ids.
    const belowMs = groupSize === 1 && hasMicros(format) ? Math.floor(fraction(this.microSeed, serial) * 1000) : 0;
    return { serial, idHead, micros: ms * 1000 + belowMs, format };
  }

  /** @returns one new event at the given time */
  arrive(ms: number): Block {
    this.arrived += 1;
    const serial = this.settings.events + this.arrived;
    const builder = new BlockBuilder(MAX_GENERATED_EVENT_BYTES, 1);
    builder.add(this.writer, this.plan(serial, serial, ms, 0, 1));
    return builder.build(this.writer.idStart);
  }

  /** @returns new events after `newestMs`, each a little later than the one before, newest first */
  arriveAfter(newestMs: number, count: number): Block {
    const times: number[] = [];
    let ms = newestMs;
    for (let i = 1; i <= count; i += 1) {
      ms += 1 + Math.floor(fraction(this.arrivalSeed, this.arrived + i) * 1000);
      times.push(ms);
    }
    const builder = new BlockBuilder(count * LIKELY_EVENT_BYTES * 2 + 2 * MAX_GENERATED_EVENT_BYTES, count);
    for (let i = count; i >= 1; i -= 1) {
      const serial = this.settings.events + this.arrived + i;
      builder.add(this.writer, this.plan(serial, serial, times[i - 1] ?? newestMs, 0, 1));
    }
    this.arrived += count;
    return builder.build(this.writer.idStart);
  }
}

function blockFor(remaining: number): BlockBuilder {
  const bytes = Math.min(BLOCK_BYTES, remaining * LIKELY_EVENT_BYTES + 2 * MAX_GENERATED_EVENT_BYTES);
  return new BlockBuilder(bytes, Math.min(remaining, Math.ceil(bytes / SHORTEST_EVENT_BYTES)));
}
