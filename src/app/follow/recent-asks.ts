/** Keeps one request from being sent again too soon: an API may answer it from its cache. Pure. */
import { limitInTurn } from '../../api/api-client.ts';

/** How long an answer may come out of the API's cache. */
const CACHE_LIFE_MS = 30_000;
/** Requests within that time that can be told apart; more than a round every three seconds has. */
const MOST_TURNS = 10;

export class RecentAsks {
  /** When each was sent last, ms. */
  readonly #sentMs = new Map<string, number>();

  /**
   * Counts as sent what it answers with.
   * @param rest of the request, beside the limit
   * @returns a little less than `most`, where that was asked for within the life of a cache
   */
  limitFor(most: number, rest: string, nowMs: number): number {
    for (const [request, sentMs] of this.#sentMs) {
      if (nowMs - sentMs > CACHE_LIFE_MS) this.#sentMs.delete(request);
    }
    const limits = Array.from({ length: MOST_TURNS }, (_, turn) => limitInTurn(most, turn));
    const keyOf = (limit: number): string => `${limit} ${rest}`;
    const isUnused = (limit: number): boolean => !this.#sentMs.has(keyOf(limit));
    const limit = limits.find(isUnused) ?? most;
    this.#sentMs.set(keyOf(limit), nowMs);
    return limit;
  }
}
