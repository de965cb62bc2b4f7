/** What the simulator was asked and what it answered: tests check the ingester against this, never against itself. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { numberIn } from './endpoints/pages.ts';

export type RequestKind = 'events' | 'stream' | 'access' | 'stats' | 'health' | 'submissions' | 'other';

/** One request and how it was answered. */
export interface RequestEntry {
  /** From 1, in order of arrival. */
  readonly n: number;
  readonly kind: RequestKind;
  readonly atMs: number;
  /** When the last byte was handed to the socket, or the connection broke. */
  doneMs: number | null;
  readonly method: string;
  readonly path: string;
  readonly limit: number | null;
  readonly cursor: string | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** 0: nothing was answered. */
  status: number;
  fault: string | null;
  cacheHit: boolean;
  /** Rank of the page's first event. */
  firstRank: number | null;
  /** Number of events in the page. */
  events: number;
}

/** Totals since the start. */
export interface TrafficCounts {
  readonly requests: Record<RequestKind, number>;
  requestsTotal: number;
  /** By status code; `none` counts requests that got no answer. */
  readonly statuses: Record<string, number>;
  readonly faults: Record<string, number>;
  cacheHits: number;
  pagesServed: number;
  eventsServed: number;
  bytesServed: number;
  staleCursors: number;
  badCursors: number;
  rejectedTokens: number;
  tokensIssued: number;
  refusedKeys: number;
  keysInUrl: number;
  /** Page requests that are being answered. */
  inFlight: number;
  maxInFlight: number;
}

const MAX_KEPT_ENTRIES = 200_000;

export class Traffic {
  readonly counts: TrafficCounts = {
    requests: { events: 0, stream: 0, access: 0, stats: 0, health: 0, submissions: 0, other: 0 },
    requestsTotal: 0,
    statuses: {},
    faults: {},
    cacheHits: 0,
    pagesServed: 0,
    eventsServed: 0,
    bytesServed: 0,
    staleCursors: 0,
    badCursors: 0,
    rejectedTokens: 0,
    tokensIssued: 0,
    refusedKeys: 0,
    keysInUrl: 0,
    inFlight: 0,
    maxInFlight: 0,
  };
  /** The newest requests, oldest first. */
  readonly log: RequestEntry[] = [];

  /** Counts a request, and its answer once the response is closed; the caller fills in the entry until then. */
  open(kind: RequestKind, req: IncomingMessage, res: ServerResponse, url: URL): RequestEntry {
    const { counts, log } = this;
    counts.requestsTotal += 1;
    counts.requests[kind] += 1;
    const entry: RequestEntry = {
      n: counts.requestsTotal,
      kind,
      atMs: Date.now(),
      doneMs: null,
      method: req.method ?? '',
      path: url.pathname,
      limit: numberIn(url.searchParams.get('limit')),
      cursor: url.searchParams.get('cursor'),
      sinceMs: numberIn(url.searchParams.get('since')),
      untilMs: numberIn(url.searchParams.get('until')),
      status: 0,
      fault: null,
      cacheHit: false,
      firstRank: null,
      events: 0,
    };
    log.push(entry);
    if (log.length > MAX_KEPT_ENTRIES) log.shift();
    if (isPageKind(kind)) {
      counts.inFlight += 1;
      counts.maxInFlight = Math.max(counts.maxInFlight, counts.inFlight);
    }
    res.once('close', () => {
      this.#close(entry);
    });
    return entry;
  }

  #close(entry: RequestEntry): void {
    const { counts } = this;
    entry.doneMs = Date.now();
    const status = entry.status === 0 ? 'none' : String(entry.status);
    counts.statuses[status] = (counts.statuses[status] ?? 0) + 1;
    if (entry.fault !== null) counts.faults[entry.fault] = (counts.faults[entry.fault] ?? 0) + 1;
    if (entry.cacheHit) counts.cacheHits += 1;
    if (isPageKind(entry.kind)) counts.inFlight -= 1;
  }
}

function isPageKind(kind: RequestKind): boolean {
  return kind === 'events' || kind === 'stream';
}
