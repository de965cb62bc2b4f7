/** Draws histories, plays them, and shrinks what breaks the law. */
import fc from 'fast-check';
import type { TestCluster } from '../support/cluster.ts';
import { histories } from './drawing.ts';
import type { History } from './history.ts';
import { play, type Played } from './play.ts';
import { HistoryTarget } from './target.ts';

export interface Finding {
  readonly seed: number;
  readonly history: History;
  readonly played: Played;
  /** The smallest history that was found to break the law in the same way. */
  readonly shrunk: { readonly history: History; readonly played: Played };
}

export interface PlayRequest {
  readonly seed: number;
  readonly asProcess: boolean;
  /** How long a breach is made smaller. */
  readonly shrinkMs: number;
}

export class Machine {
  readonly #cluster: TestCluster;
  #databases = 0;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  async play(history: History, asProcess: boolean): Promise<Played> {
    this.#databases += 1;
    const target = await HistoryTarget.create(this.#cluster, `history_${this.#databases}`);
    try {
      return await play(history, { target, asProcess });
    } finally {
      await target.remove();
    }
  }

  /** Plays the one history of a seed. @returns `null` when the law holds */
  async search({ seed, asProcess, shrinkMs }: PlayRequest): Promise<{ finding: Finding | null; starts: number }> {
    let first: { history: History; played: Played } | null = null;
    let smallest: { history: History; played: Played } | null = null;
    let starts = 0;
    let untilMs = Infinity;
    const property = fc.asyncProperty(histories, async (history) => {
      // When the time is up, every smaller one counts as good: then nothing is left to shrink.
      if (performance.now() > untilMs) return true;
      const played = await this.play(history, asProcess);
      starts += played.starts;
      if (played.breach === null || (first !== null && played.breach.kind !== first.played.breach?.kind)) return true;
      if (first === null) untilMs = performance.now() + shrinkMs;
      first ??= { history, played };
      smallest = { history, played };
      return false;
    });
    const { failed, errorInstance } = await fc.check(property, { seed, numRuns: 1 });
    const finding = findingOf(seed, first, smallest);
    // What was not played to its end shows nothing: a history that could not be played is no history without a breach.
    if (failed && finding === null)
      throw new Error(`the history of seed ${seed} could not be played`, { cause: errorInstance });
    return { finding, starts };
  }
}

function findingOf(
  seed: number,
  first: { history: History; played: Played } | null,
  smallest: { history: History; played: Played } | null,
): Finding | null {
  return first === null || smallest === null ? null : { seed, ...first, shrunk: smallest };
}
