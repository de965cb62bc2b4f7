/** What the simulator did, counted where it happens: tests check the ingester against these, never against itself. */
export const requestKinds = ['events', 'stream', 'access', 'stats', 'health', 'submissions', 'other'] as const;
export type RequestKind = (typeof requestKinds)[number];

/** One request as it was answered. */
export interface RequestEntry {
  /** From 1, in order of arrival. */
  readonly n: number;
  readonly kind: RequestKind;
  readonly atMs: number;
  /** Answered (last byte handed to the socket) or broken off. */
  doneMs: number | null;
  readonly method: string;
  readonly path: string;
  readonly limit: number | null;
  readonly cursor: string | null;
  readonly cursorAgeMs: number | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** 0: nothing was answered. */
  status: number;
  fault: string | null;
  cacheHit: boolean;
  /** Rank of the page's first event, and how many. */
  firstRank: number | null;
  events: number;
}

const MAX_KEPT_ENTRIES = 200_000;

export class Books {
  readonly startedMs = Date.now();
  readonly requests: Record<RequestKind, number> = {
    events: 0,
    stream: 0,
    access: 0,
    stats: 0,
    health: 0,
    submissions: 0,
    other: 0,
  };
  readonly statuses: Record<string, number> = {};
  readonly faults: Record<string, number> = {};
  /** The newest requests, oldest first. */
  readonly log: RequestEntry[] = [];
  cacheHits = 0;
  pagesServed = 0;
  eventsServed = 0;
  bytesServed = 0;
  staleCursors = 0;
  badCursors = 0;
  rejectedTokens = 0;
  tokensIssued = 0;
  refusedKeys = 0;
  keysInUrl = 0;
  inFlight = 0;
  maxInFlight = 0;
  private total = 0;

  open(
    entry: Omit<RequestEntry, 'n' | 'doneMs' | 'status' | 'fault' | 'cacheHit' | 'firstRank' | 'events'>,
  ): RequestEntry {
    this.total += 1;
    this.requests[entry.kind] += 1;
    const full: RequestEntry = {
      n: this.total,
      ...entry,
      doneMs: null,
      status: 0,
      fault: null,
      cacheHit: false,
      firstRank: null,
      events: 0,
    };
    this.log.push(full);
    if (this.log.length > MAX_KEPT_ENTRIES) this.log.shift();
    if (entry.kind === 'events' || entry.kind === 'stream') {
      this.inFlight += 1;
      this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    }
    return full;
  }

  close(entry: RequestEntry): void {
    if (entry.doneMs !== null) return;
    entry.doneMs = Date.now();
    const status = entry.status === 0 ? 'none' : String(entry.status);
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    if (entry.fault !== null) this.faults[entry.fault] = (this.faults[entry.fault] ?? 0) + 1;
    if (entry.cacheHit) this.cacheHits += 1;
    if (entry.kind === 'events' || entry.kind === 'stream') this.inFlight -= 1;
  }

  totals() {
    const { requests, statuses, faults, cacheHits, pagesServed, eventsServed, bytesServed, staleCursors, badCursors } =
      this;
    const { rejectedTokens, tokensIssued, refusedKeys, keysInUrl, inFlight, maxInFlight } = this;
    return {
      requests: { ...requests },
      requestsTotal: this.total,
      statuses: { ...statuses },
      rateLimited: statuses['429'] ?? 0,
      faults: { ...faults },
      cacheHits,
      pagesServed,
      eventsServed,
      bytesServed,
      staleCursors,
      badCursors,
      rejectedTokens,
      tokensIssued,
      refusedKeys,
      keysInUrl,
      inFlight,
      maxInFlight,
      seconds: (Date.now() - this.startedMs) / 1000,
    };
  }
}
