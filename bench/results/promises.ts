/** The promises for the whole job against the floor; each other promise is in its suite. */
import type { Check } from './result.ts';
import { round } from './statistics.ts';

const PROMISED_RATIO = { asItComes: 1.35, asTheEmbeddedOne: 1.45 };
/** For the guard. Other work on the machine disturbs it, so the best of three rounds counts. */
const GUARD_RATIO = 1.7;
const PROMISED_START_SECONDS = 1;
const PROMISED_MEMORY_MB = 350;
const PROMISED_DELAY_MS = 15;

export interface JobFigures {
  /** Whole job ÷ floor, without process start-up. */
  readonly ratio: number;
  readonly startSeconds: number;
  readonly peakMemoryMb: number;
  readonly delayP99Ms: number;
}

/** The check of `--quick`. */
export function guard(ratios: readonly number[]): Check {
  const best = Math.min(...ratios);
  return {
    what: `best of ${ratios.length} ratios to the floor`,
    target: `≤ ${GUARD_RATIO}`,
    measured: String(round(best)),
    holds: best <= GUARD_RATIO,
  };
}

/** The checks of a recorded run. @param tuned the server is set up as the embedded one */
export function promises({ ratio, startSeconds, peakMemoryMb, delayP99Ms }: JobFigures, tuned: boolean): Check[] {
  const promisedRatio = tuned ? PROMISED_RATIO.asTheEmbeddedOne : PROMISED_RATIO.asItComes;
  return [
    atMost('whole job ÷ floor, without process start-up', ratio, promisedRatio, '', 3),
    atMost('npm start to first request', startSeconds, PROMISED_START_SECONDS, ' s'),
    atMost('peak memory of the ingester', peakMemoryMb, PROMISED_MEMORY_MB, ' MB'),
    atMost('main-thread delay p99 at full speed', delayP99Ms, PROMISED_DELAY_MS, ' ms'),
  ];
}

function atMost(what: string, measured: number, target: number, unit: string, digits = 2): Check {
  return {
    what,
    target: `≤ ${target}${unit}`,
    measured: `${round(measured, digits)}${unit}`,
    holds: measured <= target,
  };
}
