/** A rate-limited API and its callers in virtual time: an hour of pacing in a millisecond. For tests of the policy. */
import { PacingPolicy, type PacingTicket } from '../../../src/api/pacing-policy.ts';
import { RateLimiter } from '../../../src/simulator/endpoints/rate-limit.ts';
import { fraction, purposeSeed } from '../../../src/simulator/data/random.ts';

export interface VirtualApi {
  /** Requests a window, may change with time; 0 is unlimited. */
  readonly limit: number | ((nowMs: number) => number);
  readonly windowMs: number;
  readonly kind: 'fixed' | 'sliding';
  readonly headers: boolean;
  readonly retryAfter: 'seconds' | 'date' | 'missing';
  /** How window ends are rounded to whole seconds. */
  readonly rounding?: (seconds: number) => number;
  /** Refused without a reason, and without a word on how long. */
  readonly refusedAtRandom?: number;
  /** Somebody else's requests with the same key, a second. */
  readonly foreignRps?: number;
}

export interface Callers {
  readonly count: number;
  readonly latencyMs: number;
  readonly jitterMs?: number;
  readonly maxRps?: number | null;
  /** Of everything that is drawn. */
  readonly seed?: number;
  readonly forMs: number;
}

export interface VirtualBooks {
  allowed: number;
  refused: number;
  /** What the API would have allowed in the time. */
  readonly possible: number;
  readonly usedShare: number;
  readonly refusedShare: number;
  readonly policy: PacingPolicy;
  readonly allowedAtMs: readonly number[];
  /** Most starts within a millisecond. */
  readonly starts: readonly number[];
}

interface Arrival {
  readonly ticket: PacingTicket;
  readonly arrivesMs: number;
}

interface Reply {
  readonly atMs: number;
  readonly reply: () => void;
}

/** Runs callers that always want the next request against the API. */
export function runVirtually(api: VirtualApi, callers: Callers): VirtualBooks {
  const { seed = 7 } = callers;
  let drawn = 0;
  const policy = new PacingPolicy({
    maxRps: callers.maxRps ?? null,
    random: () => fraction(purposeSeed(seed, 'pause'), (drawn += 1)),
  });
  const limiter = new RateLimiter();
  const limitAt = (nowMs: number): number => (typeof api.limit === 'number' ? api.limit : api.limit(nowMs));
  const round = api.rounding ?? Math.ceil;
  const arrivals: Arrival[] = [];
  const replies: Reply[] = [];
  const allowedAtMs: number[] = [];
  const starts: number[] = [];
  let allowed = 0;
  let refused = 0;
  let idle = callers.count;
  let nowMs = 0;
  let sent = 0;
  let foreignAtMs = api.foreignRps === undefined ? Infinity : 0;
  const serve = (arrival: Arrival): void => {
    const limit = limitAt(nowMs);
    const atRandom = fraction(purposeSeed(seed, 'refused'), allowed + refused) < (api.refusedAtRandom ?? 0);
    const verdict = atRandom
      ? { allowed: false, remaining: 0, resetMs: 0 }
      : limiter.take('key', { limit, windowMs: api.windowMs, kind: api.kind }, nowMs);
    if (verdict.allowed) {
      allowed += 1;
      allowedAtMs.push(nowMs);
    } else refused += 1;
    const isNamed = api.headers && limit > 0;
    const notice = {
      limit: isNamed ? limit : null,
      remaining: isNamed ? verdict.remaining : null,
      resetMs: isNamed ? round(verdict.resetMs / 1000) * 1000 : null,
      retryAfterMs: verdict.allowed || atRandom ? null : retryAfterMs(api.retryAfter, verdict.resetMs, nowMs),
    };
    const atMs = nowMs + callers.latencyMs / 2;
    replies.push({
      atMs,
      reply: () => {
        policy.answered(arrival.ticket, verdict.allowed ? 'served' : 'refused', notice, atMs);
        idle += 1;
      },
    });
  };
  while (nowMs < callers.forMs) {
    const startMs = idle > 0 ? Math.max(nowMs, policy.nextStartMs(nowMs)) : Infinity;
    const arrival = arrivals.reduce<Arrival | null>(
      (first, one) => (first === null || one.arrivesMs < first.arrivesMs ? one : first),
      null,
    );
    const reply = replies.reduce<Reply | null>(
      (first, one) => (first === null || one.atMs < first.atMs ? one : first),
      null,
    );
    const next = Math.min(startMs, arrival?.arrivesMs ?? Infinity, reply?.atMs ?? Infinity, foreignAtMs);
    nowMs = next;
    if (reply?.atMs === next) {
      replies.splice(replies.indexOf(reply), 1);
      reply.reply();
    } else if (arrival?.arrivesMs === next) {
      arrivals.splice(arrivals.indexOf(arrival), 1);
      serve(arrival);
    } else if (foreignAtMs === next) {
      limiter.take('key', { limit: limitAt(nowMs), windowMs: api.windowMs, kind: api.kind }, nowMs);
      foreignAtMs = nowMs + 1000 / (api.foreignRps ?? 1);
    } else {
      sent += 1;
      idle -= 1;
      starts.push(nowMs);
      const late = (callers.jitterMs ?? 0) * fraction(purposeSeed(seed, 'late'), sent);
      arrivals.push({ ticket: policy.started(nowMs), arrivesMs: nowMs + callers.latencyMs / 2 + late });
    }
  }
  const limit = limitAt(nowMs);
  const possible = limit === 0 ? Infinity : (limit * callers.forMs) / api.windowMs;
  return {
    allowed,
    refused,
    possible,
    usedShare: allowed / possible,
    refusedShare: refused / (allowed + refused),
    policy,
    allowedAtMs,
    starts,
  };
}

/** Of a second's precision, and never too early. */
function retryAfterMs(form: VirtualApi['retryAfter'], resetMs: number, nowMs: number): number | null {
  if (form === 'missing') return null;
  return form === 'date' ? Math.ceil((nowMs + resetMs) / 1000) * 1000 - nowMs : Math.ceil(resetMs / 1000) * 1000;
}
