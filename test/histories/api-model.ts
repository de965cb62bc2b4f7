/** What the API has: its list of places, as it grows and forgets, and everything that it ever had. */
import { NEWEST_MS, makePlace, type NewPlace, type Place } from './event-model.ts';
import type { ApiTraits, DataTraits, GrowStep, LoseStep } from './history.ts';

export interface Bounds {
  readonly since: number | null;
  readonly until: number | null;
}

export class ApiModel {
  readonly #traits: ApiTraits;
  readonly #data: DataTraits;
  readonly #salt: string;
  readonly #all: Place[] = [];
  readonly #lost = new Set<Place>();
  #list: Place[] = [];
  #newestMs = NEWEST_MS;
  #n = 0;

  constructor(traits: ApiTraits, data: DataTraits, salt: string) {
    this.#traits = traits;
    this.#data = data;
    this.#salt = salt;
    this.#fill();
  }

  /** In the API's order. */
  get places(): readonly Place[] {
    return this.#list;
  }

  get everHad(): readonly Place[] {
    return this.#all;
  }

  get lostCount(): number {
    return this.#lost.size;
  }

  get newestOwnMs(): number {
    return this.#list.reduce(
      (newest, place) => Math.max(newest, place.isTimeless ? -Infinity : place.ownMs),
      -Infinity,
    );
  }

  isLost(place: Place): boolean {
    return this.#lost.has(place);
  }

  /** A moment in the time of the first events: 0 the oldest, 1 the newest. */
  momentAt(part: number): number {
    return Math.round(NEWEST_MS - (1 - part) * this.#spanMs());
  }

  grow({ top, late, lateMs }: Omit<GrowStep, 'do'>): void {
    for (let i = 0; i < top; i += 1) {
      this.#newestMs += Math.max(1, this.#data.gapMs);
      this.#arrive(this.#newestMs, this.#newestMs, true);
    }
    for (let i = 0; i < late; i += 1) {
      const ownMs = this.#newestMs - Math.round((lateMs * (i + 1)) / (late + 1)) - 1;
      this.#newestMs += 1;
      this.#arrive(ownMs, this.#newestMs, true);
    }
    this.#sort();
  }

  lose({ which, count }: Omit<LoseStep, 'do'>): void {
    const step = which === 'oldest' ? 1 : Math.max(1, Math.floor(this.#list.length / Math.max(1, count)));
    const fromTheEnd = [...this.#list].reverse();
    for (const place of fromTheEnd.filter((_, at) => at % step === 0).slice(0, count)) this.#lost.add(place);
    this.#list = this.#list.filter((place) => !this.#lost.has(place));
  }

  /** In the list and inside the bounds that the API was asked for. */
  within({ since, until }: Bounds): readonly Place[] {
    const stream = this.#traits.stream;
    if (stream === null || stream.bounds === 'ignored' || (since === null && until === null)) return this.#list;
    return this.#list.filter(({ ownMs }) => {
      const isAbove = since === null || ownMs > since || (stream.sinceInclusive && ownMs === since);
      const isBelow = until === null || ownMs < until || (stream.untilInclusive && ownMs === until);
      return isAbove && isBelow;
    });
  }

  #spanMs(): number {
    return Math.floor(this.#data.count / this.#data.perInstant) * this.#data.gapMs;
  }

  #fill(): void {
    const { count, gapMs, perInstant, lateEvery, lateTogether, lateMs, doubled } = this.#data;
    for (let n = 0; n < count; n += 1) {
      const orderMs = NEWEST_MS - Math.floor(n / perInstant) * gapMs;
      const burst = Math.floor(n / lateTogether);
      const isLate = lateEvery > 0 && burst % lateEvery === lateEvery - 1;
      this.#arrive(isLate ? orderMs - Math.round((lateMs * ((burst % 7) + 1)) / 7) : orderMs, orderMs, false);
    }
    for (const [at, place] of this.#all.slice(0, Math.min(count, doubled.count)).entries()) {
      const twin = this.#all[(at * 13) % count] ?? place;
      const awayMs = { adjacent: 0, near: 3 * gapMs, far: Math.floor(this.#spanMs() / 2) }[doubled.where];
      if (twin.version === 2) continue;
      this.#put({
        n: twin.n,
        version: awayMs === 0 ? 1 : 2,
        orderMs: twin.orderMs - awayMs,
        ownMs: twin.ownMs - awayMs,
        isNews: false,
      });
    }
    this.#sort();
  }

  #arrive(ownMs: number, arrivalMs: number, isNews: boolean): void {
    const orderMs = this.#traits.order === 'arrival' ? arrivalMs : ownMs;
    this.#put({ n: this.#n, version: 1, ownMs, orderMs, isNews });
    this.#n += 1;
  }

  #put(place: Omit<NewPlace, 'seq'>): void {
    const made = makePlace(this.#data, this.#salt, { seq: this.#all.length, ...place });
    this.#all.push(made);
    this.#list.push(made);
  }

  #sort(): void {
    this.#list.sort((a, b) => b.orderMs - a.orderMs || b.seq - a.seq);
  }
}
