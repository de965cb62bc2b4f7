/** How long to wait before trying again: one pure rule for everything that retries. */

export interface BackoffRule {
  /** Wait before the second try, before jitter, ms. */
  readonly baseMs: number;
  /** No wait is longer than this, jitter included, ms. */
  readonly capMs: number;
}

/**
 * Exponential with jitter: between half and all of `baseMs · 2^(failures − 1)`, at most `capMs`. Half of it is random,
 * because callers that failed together must not come back together.
 * @param failures how often it has failed so far, from 1
 * @param random in [0, 1)
 */
export function backoffDelayMs(failures: number, rule: BackoffRule, random: number = Math.random()): number {
  // 2^30 is past every cap, and keeps the product finite.
  const full = Math.min(rule.capMs, rule.baseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30));
  return full / 2 + (full / 2) * random;
}
