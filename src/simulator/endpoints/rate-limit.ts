/** Request budgets, one for each key and endpoint. Windows are fixed or sliding, and limits may change at any time. */
export interface RateRule {
  /** Requests a window; 0 is unlimited. */
  readonly limit: number;
  readonly windowMs: number;
  readonly kind: 'fixed' | 'sliding';
}

export interface RateVerdict {
  readonly allowed: boolean;
  readonly remaining: number;
  readonly resetMs: number;
}

/** What one window allowed and refused. */
export interface RateWindow {
  readonly budget: string;
  readonly startMs: number;
  allowed: number;
  refused: number;
}

const MAX_KEPT_WINDOWS = 10_000;

export class RateLimiter {
  /** The newest windows, oldest first. A sliding limit is counted in fixed windows of the same length. */
  readonly windows: RateWindow[] = [];
  private readonly current = new Map<string, RateWindow>();
  private readonly allowedAt = new Map<string, number[]>();

  take(budget: string, rule: RateRule, nowMs: number): RateVerdict {
    const window = this.windowOf(budget, rule, nowMs);
    const unlimited = rule.limit === 0;
    const used = rule.kind === 'fixed' ? window.allowed : this.recent(budget, rule, nowMs).length;
    const oldest = this.allowedAt.get(budget)?.[0];
    const start = rule.kind === 'fixed' ? window.startMs : (oldest ?? nowMs);
    const allowed = unlimited || used < rule.limit;
    if (allowed) {
      window.allowed += 1;
      if (rule.kind === 'sliding') this.recent(budget, rule, nowMs).push(nowMs);
    } else {
      window.refused += 1;
    }
    const remaining = unlimited ? Number.MAX_SAFE_INTEGER : Math.max(0, rule.limit - used - (allowed ? 1 : 0));
    return { allowed, remaining, resetMs: Math.max(0, start + rule.windowMs - nowMs) };
  }

  private recent(budget: string, rule: RateRule, nowMs: number): number[] {
    const times = (this.allowedAt.get(budget) ?? []).filter((time) => time > nowMs - rule.windowMs);
    this.allowedAt.set(budget, times);
    return times;
  }

  private windowOf(budget: string, rule: RateRule, nowMs: number): RateWindow {
    const last = this.current.get(budget);
    if (last !== undefined && nowMs < last.startMs + rule.windowMs) return last;
    const window: RateWindow = { budget, startMs: nowMs, allowed: 0, refused: 0 };
    this.current.set(budget, window);
    this.windows.push(window);
    if (this.windows.length > MAX_KEPT_WINDOWS) this.windows.shift();
    return window;
  }
}
