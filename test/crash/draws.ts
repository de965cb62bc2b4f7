/** Random choices that can be repeated: everything that a crash test draws comes from one printed number. */
export class Draws {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    // The draws of neighbouring seeds must differ from the first one on.
    this.#state = Math.imul(this.seed ^ 0x9e37_79b9, 0x85eb_ca6b) | 1;
    for (let i = 0; i < 8; i += 1) this.#next();
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  chance(share: number): boolean {
    return this.#next() < share;
  }

  pick<const T>(from: readonly [T, ...T[]]): T {
    return from[this.int(0, from.length - 1)] ?? from[0];
  }

  /** xorshift32, in [0, 1). */
  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) / 2 ** 32;
  }
}

/** The first seed of this process: `CRASH_SEED`, to repeat a failed round, or a random one. */
export function firstSeed(): number {
  const given = process.env['CRASH_SEED'];
  if (given === undefined || given === '') return Math.floor(Math.random() * 1e9);
  if (!/^\d{1,10}$/.test(given))
    throw new Error(`CRASH_SEED must be a number that an earlier run printed, not "${given}"`);
  return Number(given);
}

/** Time of the whole suite, seconds: `CRASH_SECONDS`, 600 unless given. */
export function suiteSeconds(): number {
  const given = process.env['CRASH_SECONDS'];
  if (given === undefined || given === '') return 600;
  if (!/^\d{1,6}$/.test(given) || Number(given) === 0)
    throw new Error(`CRASH_SECONDS must be a number of seconds, not "${given}"`);
  return Number(given);
}
