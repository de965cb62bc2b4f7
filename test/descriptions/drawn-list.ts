/** The list behind the API of a case: its records in the API's order, and what becomes of them. */
import { Draws } from '../support/vendors/vendor.ts';
import { isAt, drawnRecord, timeOf, type DrawnRecord } from './drawn-records.ts';
import type { Case, Change, Order } from './drawn-case.ts';
import { stepOf } from './times.ts';

/** Where an entry stands: the smaller one comes first. */
export interface Rank {
  readonly rank: number;
  readonly n: number;
}

export interface Entry extends Rank {
  record: DrawnRecord;
  rank: number;
  /** Every one that was served, or could have been. */
  readonly versions: DrawnRecord[];
  isGone: boolean;
  /** Since when it is as it is, and where. */
  settledAt: number;
}

export interface Bounds {
  readonly sinceUs: number | null;
  readonly untilUs: number | null;
}

export class DrawnList {
  readonly entries: Entry[] = [];
  /** Whoever plays the case counts it up: a start, a change. */
  deed = 0;
  /** Something was deleted, or has moved to another place. */
  movedAt = -1;
  readonly #case: Case;
  readonly #order: Order;
  readonly #draws: Draws;
  #version = 1;
  #newestUs = 0;

  constructor(drawn: Case) {
    this.#case = drawn;
    this.#order = drawn.api.isUnordered ? 'none' : (drawn.words.order ?? 'none');
    this.#draws = new Draws(drawn.salt + 1);
    for (let n = 0; n < drawn.data.count; n += 1) this.#add(n, timeOf(drawn, n));
    this.#sort();
  }

  get live(): Entry[] {
    return this.entries.filter(({ isGone }) => !isGone);
  }

  /** The records that the API has for these bounds, in its order. Times are compared as coarsely as the API does. */
  within({ sinceUs, untilUs }: Bounds): Entry[] {
    const { words, api } = this.#case;
    if (words.time === undefined || (sinceUs === null && untilUs === null)) return this.live;
    const step = stepOf(words.time);
    const coarse = (us: number): number => Math.floor(us / step) * step;
    return this.live.filter(({ record: { timeUs } }) => {
      if (timeUs === null) return false;
      const at = coarse(timeUs);
      if (sinceUs !== null && (api.sinceInclusive ? at < coarse(sinceUs) : at <= coarse(sinceUs))) return false;
      return untilUs === null || (api.untilInclusive ? at <= coarse(untilUs) : at < coarse(untilUs));
    });
  }

  /** By its id, also where it is gone: it keeps its place. */
  byId(id: string): Entry | undefined {
    return this.entries.find(({ record }) => record.id === id);
  }

  change({ add, remove, touch }: Change): void {
    this.deed += 1;
    for (let count = 0; count < remove; count += 1) this.#remove();
    for (let count = 0; count < touch; count += 1) this.#touch();
    for (let count = 0; count < add; count += 1) this.#add(this.entries.length, this.#newTime());
    this.#sort();
  }

  #newTime(): number | null {
    const { time } = this.#case.words;
    if (time === undefined) return null;
    return this.#newestUs + stepOf(time) * (this.#draws.chance(0.5) ? 0 : this.#case.data.gap);
  }

  #add(n: number, timeUs: number | null): void {
    const record = drawnRecord(this.#case, n, { timeUs, version: 1 });
    this.#newestUs = Math.max(this.#newestUs, timeUs ?? 0);
    const entry = { n, record, rank: this.#rank(n, timeUs), versions: [record], isGone: false, settledAt: this.deed };
    this.entries.push(entry);
  }

  #remove(): void {
    const { live } = this;
    if (live.length === 0) return;
    const entry = this.#draws.pick(live);
    entry.isGone = true;
    this.movedAt = this.deed;
  }

  /** Where records have a version: one of them changes. By the time of the change, where that is what the list is sorted by. */
  #touch(): void {
    const { version, time } = this.#case.words;
    const { live } = this;
    if (version === undefined || live.length === 0) return;
    const entry = this.#draws.pick(live);
    const moves = isAt(version, time?.path);
    const timeUs = moves ? this.#newTime() : entry.record.timeUs;
    this.#version += 1;
    entry.record = drawnRecord(this.#case, entry.n, { timeUs, version: this.#version });
    entry.versions.push(entry.record);
    entry.settledAt = this.deed;
    if (!moves) return;
    this.#newestUs = Math.max(this.#newestUs, timeUs ?? 0);
    entry.rank = this.#rank(entry.n, timeUs);
    this.movedAt = this.deed;
  }

  #rank(n: number, timeUs: number | null): number {
    switch (this.#order) {
      case 'newest-first':
        return timeUs === null ? Infinity : -timeUs;
      case 'oldest-first':
        return timeUs ?? Infinity;
      case 'none':
        return (n * 6_007 + this.#case.salt) % 10_007;
    }
  }

  #sort(): void {
    this.entries.sort(compareRanks);
  }
}

/** By their times, whatever the list goes by. */
export function isInOrder(entries: readonly Entry[], order: Order = 'none'): boolean {
  const turn = { 'newest-first': -1, 'oldest-first': 1, none: 0 }[order];
  const times = entries.flatMap(({ record: { timeUs } }) => (timeUs === null ? [] : [timeUs * turn]));
  return times.every((time, at) => time >= (times[at - 1] ?? -Infinity));
}

export function compareRanks(one: Rank, other: Rank): number {
  // Both may be infinite.
  return one.rank === other.rank ? one.n - other.n : one.rank < other.rank ? -1 : 1;
}
