/** Draws cases, plays them, and shrinks what breaks the law. */
import fc from 'fast-check';
import type { TestCluster } from '../support/cluster.ts';
import type { Case } from './drawn-case.ts';
import { cases } from './drawing.ts';
import { play, type Played } from './play.ts';

export interface Finding {
  readonly seed: number;
  readonly drawn: Case;
  readonly played: Played;
  /** The smallest case that was found to break the law in the same way. */
  readonly shrunk: { readonly drawn: Case; readonly played: Played };
}

export class Machine {
  readonly #cluster: TestCluster;
  #databases = 0;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  async play(drawn: Case): Promise<Played> {
    this.#databases += 1;
    const name = `case_${this.#databases}`;
    const url = await this.#cluster.createDatabase(name);
    try {
      return await play(drawn, url);
    } finally {
      await this.#cluster.query(`DROP DATABASE "${name}" WITH (FORCE)`);
    }
  }

  /** Plays the one case of a seed. @param shrinkMs how long a breach is made smaller. @returns `null` when the law holds */
  async search(seed: number, shrinkMs: number): Promise<{ finding: Finding | null; starts: number; codes: number[] }> {
    let first: { drawn: Case; played: Played } | null = null;
    let smallest: { drawn: Case; played: Played } | null = null;
    let starts = 0;
    let codes: number[] = [];
    let untilMs = Infinity;
    const property = fc.asyncProperty(cases, async (drawn) => {
      // When the time is up, every smaller one counts as good: then nothing is left to shrink.
      if (performance.now() > untilMs) return true;
      const played = await this.play(drawn);
      starts += played.ends.length;
      if (first === null) codes = played.ends.map(({ end }) => end.code);
      if (played.breach === null || (first !== null && played.breach.kind !== first.played.breach?.kind)) return true;
      if (first === null) untilMs = performance.now() + shrinkMs;
      first ??= { drawn, played };
      smallest = { drawn, played };
      return false;
    });
    const { failed, errorInstance } = await fc.check(property, { seed, numRuns: 1 });
    const finding = findingOf(seed, first, smallest);
    if (failed && finding === null) {
      throw new Error(`the case of seed ${seed} could not be played`, { cause: errorInstance });
    }
    return { finding, starts, codes };
  }
}

function findingOf(
  seed: number,
  first: { drawn: Case; played: Played } | null,
  smallest: { drawn: Case; played: Played } | null,
): Finding | null {
  return first === null || smallest === null ? null : { seed, ...first, shrunk: smallest };
}
