/** What the starts after a kill ask the API for a second time, on the simulator's own books. */
import type { Simulator } from '../../src/simulator/simulator.ts';

/** Ranks of events that were answered in full before `untilMs`. */
export function ranksServed(simulator: Simulator, untilMs: number): Set<number> {
  const ranks = new Set<number>();
  for (const { kind, doneMs, status, firstRank, events } of simulator.log()) {
    if (kind !== 'stream' && kind !== 'events') continue;
    if (status !== 200 || doneMs === null || doneMs > untilMs || firstRank === null) continue;
    for (let rank = firstRank; rank < firstRank + events; rank += 1) ranks.add(rank);
  }
  return ranks;
}

export interface ServedAgain {
  /** Requests whose page was mostly served before already, or had nothing in it. */
  readonly requests: number;
  readonly events: number;
}

/** Since `sinceMs`, held against `before` and what was served in between. */
export function servedAgain(simulator: Simulator, sinceMs: number, before: ReadonlySet<number>): ServedAgain {
  const served = new Set(before);
  let requests = 0;
  let again = 0;
  for (const { kind, atMs, firstRank, events } of simulator.log()) {
    if ((kind !== 'stream' && kind !== 'events') || atMs < sinceMs) continue;
    let known = 0;
    for (let rank = firstRank ?? 0; rank < (firstRank ?? 0) + events; rank += 1) {
      if (served.has(rank)) known += 1;
      served.add(rank);
    }
    again += known;
    if (known * 2 >= events) requests += 1;
  }
  return { requests, events: again };
}
