/** The events of a simulator: those it starts with, those a test places by hand, and those that arrive later. */
import { EventStore, type TrueEvent } from './event-store.ts';
import { Population, type Block } from './population.ts';
import { hash32, purposeSeed } from './random.ts';
import { rawBlock, type RawEvent } from './raw-events.ts';
import type { SimulatorSettings } from '../settings.ts';

const YEAR_2099_MS = Date.UTC(2099, 0, 1);

export interface ArrivalOptions {
  /** Epoch ms of the first event; each further one is a millisecond older. Without it, all are newer than every existing event. */
  readonly atMs?: number;
}

export interface DataSetCounts {
  /** Number of events; a doubled one counts twice. */
  readonly events: number;
  readonly distinctIds: number;
  /** Events without a usable id. */
  readonly expectedRejected: number;
}

export class DataSet {
  readonly store = new EventStore();
  /** Rises whenever the events change. */
  version = 0;
  private readonly settings: SimulatorSettings;
  private readonly population: Population;
  private counted: { version: number; counts: DataSetCounts } | null = null;
  private newestMs: number;

  constructor(settings: SimulatorSettings, rawEvents: readonly RawEvent[]) {
    this.settings = settings;
    this.newestMs = settings.newest;
    this.population = new Population(settings);
    for (const block of this.population.render()) this.store.append(block);
    this.double(settings.doubled);
    if (settings.futureEvent) this.store.insert([{ rank: 0, block: this.population.arrive(YEAR_2099_MS) }]);
    this.place(rawEvents);
  }

  /** Serves some events twice in a row, at random places. */
  private double(count: number): void {
    const { store } = this;
    if (store.count === 0 || count === 0) return;
    const seed = purposeSeed(this.settings.seed, 'doubled');
    const placed: { rank: number; block: Block }[] = [];
    for (let i = 0; i < count; i += 1) {
      const rank = hash32(seed, i) % store.count;
      const event = store.event(rank);
      if (event === null) continue;
      const keyMicros = this.neighbourMicros(rank + 1);
      placed.push({ rank: rank + 1, block: rawBlock({ position: 0, ...event }, keyMicros) });
    }
    store.insert(placed);
  }

  /** An event without a time key of its own takes the next older event's, so that a cursor before it finds it. */
  private neighbourMicros(rank: number): number {
    const { store } = this;
    return rank < store.count ? store.keyMicros(rank) : store.keyMicros(store.count - 1);
  }

  private place(rawEvents: readonly RawEvent[]): void {
    const sorted = [...rawEvents].sort((a, b) => a.position - b.position);
    // Positions are ranks in the finished data set: each event that was placed before shifts the later ones by one.
    const placed = sorted.map((raw, index) => {
      const rank = Math.min(Math.max(0, raw.position - index), this.store.count);
      const keyMicros = raw.keyMicros ?? (this.store.count === 0 ? this.newestMs * 1000 : this.neighbourMicros(rank));
      return { rank, block: rawBlock(raw, keyMicros) };
    });
    this.store.insert(placed);
    this.version += 1;
  }

  addEvents(count: number, options: ArrivalOptions = {}): void {
    if (count === 0) return;
    this.version += 1;
    if (options.atMs === undefined) {
      const block = this.population.arriveAfter(this.newestMs, count);
      this.newestMs = Math.floor((block.keyMicros[0] ?? 0) / 1000);
      this.store.insert([{ rank: this.store.rankAtOrOlderThan(block.keyMicros[0] ?? 0), block }]);
      return;
    }
    let ms = options.atMs;
    for (let i = 0; i < count; i += 1, ms -= 1) {
      // Its instant must be free: ids are sorted within an instant, and a new id would break that order.
      while (this.store.rankAtOrOlderThan(ms * 1000 + 999) < this.store.rankOlderThan(ms * 1000)) ms -= 1;
      const block = this.population.arrive(ms);
      this.store.insert([{ rank: this.store.rankAtOrOlderThan(ms * 1000), block }]);
      this.newestMs = Math.max(this.newestMs, ms);
    }
  }

  truth(): Iterable<TrueEvent> {
    return this.store.events();
  }

  /** @yields every id once, in serving order */
  *distinctIds(): Generator<string> {
    const repeatable = new Set<string>();
    for (const id of this.store.specialIds()) if (id !== null) repeatable.add(id);
    const seen = new Set<string>();
    for (const { id } of this.store.events()) {
      if (id === null || seen.has(id)) continue;
      if (repeatable.has(id)) seen.add(id);
      yield id;
    }
  }

  counts(): DataSetCounts {
    if (this.counted?.version === this.version) return this.counted.counts;
    const counts = this.count();
    this.counted = { version: this.version, counts };
    return counts;
  }

  /** Generated ids are distinct by construction: only the ids of hand-written and doubled events are compared. */
  private count(): DataSetCounts {
    const byHand = new Map<string, number>();
    let special = 0;
    let rejected = 0;
    for (const id of this.store.specialIds()) {
      special += 1;
      if (id === null) rejected += 1;
      else byHand.set(id, (byHand.get(id) ?? 0) + 1);
    }
    let shared = 0;
    if (byHand.size > 0) {
      for (const { id } of this.store.events()) if (id !== null && byHand.has(id)) shared += 1;
    }
    const byHandTotal = [...byHand.values()].reduce((sum, times) => sum + times, 0);
    // `shared` counts hand-written events themselves and the generated ones they repeat.
    return {
      events: this.store.count,
      distinctIds: this.store.count - special - (shared - byHandTotal) + byHand.size,
      expectedRejected: rejected,
    };
  }
}
