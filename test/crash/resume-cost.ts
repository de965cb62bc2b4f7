/** What the starts after a kill ask the API for a second time, by the simulator's own log. */
import type { Simulator } from '../../src/simulator/simulator.ts';

/** @returns ranks of the events that were served before `untilMs`, by requests answered in full */
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
  /** Pages of which at least half had been served before; an empty page is none. */
  readonly pages: number;
  readonly events: number;
}

/** What lies below an end is asked for from up to 25 events above it: such an answer is no page that came again. */
const ASKED_ABOVE = 26;

/** Compares what was served since `sinceMs` with `before`, and with what was served in between. */
export function servedAgain(simulator: Simulator, sinceMs: number, before: ReadonlySet<number>): ServedAgain {
  const served = new Set(before);
  let pages = 0;
  let again = 0;
  for (const { kind, atMs, firstRank, events } of simulator.log()) {
    if ((kind !== 'stream' && kind !== 'events') || atMs < sinceMs) continue;
    let known = 0;
    for (let rank = firstRank ?? 0; rank < (firstRank ?? 0) + events; rank += 1) {
      if (served.has(rank)) known += 1;
      served.add(rank);
    }
    again += known;
    if (known > ASKED_ABOVE && known * 2 >= events) pages += 1;
  }
  return { pages, events: again };
}
