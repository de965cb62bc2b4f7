/** What is asked of the API client, and what it answers. */
import type { BackoffRule } from '../core/backoff.ts';
import type { Settings } from '../core/config.ts';
import type { AskedFor, ContentEncoding } from '../core/encoded-page.ts';
import type { Logger } from '../core/logging.ts';
import type { PageBuffers } from '../core/page-buffers.ts';
import type { Redactor } from '../core/redaction.ts';
import type { HttpClient } from './http-exchange.ts';
import type { PageWire } from './page-wire.ts';
import type { ProxySettings } from './routes.ts';
import type { Silence } from './silence.ts';
import type { LookTimes } from './stream-return.ts';
import type { Waits } from './waits.ts';

export type EndpointName = 'stream' | 'events';

export interface PageRequest {
  readonly windowId: number;
  /** From 1 within the window. */
  readonly page: number;
  /** Most events wanted. After each bad answer the page is asked for with one event less. */
  readonly limit: number;
  /** Sent back byte for byte. */
  readonly cursor: string | null;
  /** When the cursor's response arrived, epoch ms of our clock. */
  readonly cursorReceivedAtMs: number | null;
  /** As the cursor's page says it; `null` when it does not. */
  readonly cursorLifeMs: number | null;
  /** The endpoint whose page brought the cursor, where that is known: on the other one it may stand anywhere. */
  readonly cursorFrom?: string | undefined;
  /** The limit that the page was asked for with that brought a cursor that may count pages: it is asked for with no other. */
  readonly cursorLimit?: number | null | undefined;
  /**
   * Bounds in walk time, ms, inclusive in meaning, fractions allowed. Sent widened, so that it does not matter whether the API takes
   * them as inclusive. DataSync takes them on the stream endpoint only.
   */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** A question about a window that looks empty: what lies below it, or at the top of all? See app/walk/doubtful-end.ts. */
  readonly across?: 'below' | 'top' | undefined;
  /** Of a body that is larger than `maxPageBytes` the beginning and the end are wanted: it is a page of one event. */
  readonly keepsEnds?: boolean | undefined;
  /** `none`: the first failure that would be waited out is thrown. `for-access`: unless it is one of stream access. */
  readonly patience?: 'none' | 'for-access' | undefined;
  readonly signal: AbortSignal;
}

/** For a request that is not by cursor. */
export const NO_CURSOR = {
  cursor: null,
  cursorReceivedAtMs: null,
  cursorLifeMs: null,
  cursorFrom: undefined,
  cursorLimit: null,
} as const;

/** Windows are numbered from 1. */
export const NO_WINDOW = 0;

/** Asks for the newest events, up to `untilMs`, beside all walks. @param page its number, by which those on their way are told apart */
export function newestEvents(
  page: number,
  limit: number,
  signal: AbortSignal,
  untilMs: number | null = null,
): PageRequest {
  return { windowId: NO_WINDOW, page, limit, ...NO_CURSOR, sinceMs: null, untilMs, signal };
}

/**
 * Asks for a little less, so that no cache answers.
 * @param turn from 0, which asks for `limit`
 * @param fewest two events, because an inclusive cursor serves one again; one is enough where there is no cursor
 */
export function limitInTurn(limit: number, turn: number, fewest = 2): number {
  return limit - (turn % Math.max(1, limit + 1 - fewest));
}

/** The fault of a page with events that cannot be told apart, however it is asked for: a new start does not help. */
export const BROKEN_EVENTS = 'broken-events';

export interface RawPage extends AskedFor {
  readonly endpoint: EndpointName;
  /** The caller's own, transferable. May be longer than `bodyBytes`; what follows the body means nothing. */
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  /** Where bytes of the body are left out; `null` when it is all there. */
  readonly leftOutAt: number | null;
  readonly contentEncoding: ContentEncoding;
  /** When the last byte arrived, epoch ms of our clock: the age of the next cursor counts from here. */
  readonly receivedAtMs: number;
  /** `Date` of the response: the API's clock, epoch ms, whole seconds. */
  readonly serverDateMs: number | null;
  /** Served from the API's cache: its cursor can be as old as the cache. */
  readonly fromCache: boolean;
  /** What the API says itself that is wrong with this page; `null` when it says nothing. */
  readonly damage: string | null;
}

export type PageAnswer =
  | { readonly kind: 'page'; readonly page: RawPage }
  /** The cursor does not work any more: anchor the walk again. `isFailure`: it is not refused, requests with it fail. */
  | { readonly kind: 'stale-cursor'; readonly detail: string; readonly isFailure: boolean }
  /** The API has nothing in these bounds (418). */
  | { readonly kind: 'outside-range'; readonly detail: string }
  /** Pages come from the other endpoint now: ask again in its terms. */
  | { readonly kind: 'endpoint-changed'; readonly detail: string }
  /** More events than the API gives at once (`maxEvents`, where it says it), or a body longer than `maxPageBytes`: ask for less. */
  | { readonly kind: 'too-large'; readonly maxEvents: number | null };

/** Why something is asked for again. */
export type RetryKind =
  'rate-limit' | 'server-error' | 'refusal' | 'transport' | 'faulty-page' | 'token' | 'closed-connection' | 'access';

/** For metrics. */
export interface ApiObserver {
  /** One request was answered, or failed (`status` null). */
  readonly request?: (kind: EndpointName | 'access', status: number | null, durationMs: number) => void;
  readonly retry?: (kind: RetryKind) => void;
  /** A request waited for its turn. */
  readonly rateLimitWait?: (waitMs: number) => void;
}

export interface ApiClientOptions {
  /** How pages are asked for, where the source is not DataSync. */
  readonly wire?: PageWire | null;
  /** Ends in `/api/v1`. */
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly userAgent: string;
  readonly endpoint: 'auto' | EndpointName;
  /** Cap on requests a second to each endpoint; `null` is none. */
  readonly maxRps: number | null;
  /** Longest single wait, and longest time without a page. */
  readonly maxWaitMs: number;
  readonly connectTimeoutMs: number;
  /** Deadline of one page: connecting, waiting, the whole body. */
  readonly pageTimeoutMs: number;
  readonly acceptCompression: boolean;
  readonly maxPageBytes: number;
  readonly logger: Logger;
  /** Where the buffers of bodies come from. */
  readonly buffers?: PageBuffers;
  readonly proxy?: ProxySettings | null;
  /** Values that must appear in no message, besides the key and the tokens. */
  readonly secrets?: readonly string[];
  /** A stream token became known: it must appear in no log line either. */
  readonly onSecret?: (secret: string) => void;
  readonly observe?: ApiObserver;
  readonly backoff?: BackoffRule;
  /** How long the first contact is tried, ms. */
  readonly firstContactMs?: number;
  /** When it is looked whether a stream endpoint that was left serves again. */
  readonly streamLooks?: LookTimes;
}

/** The part of the options that the user's settings decide alone. */
export function clientOptions(settings: Settings) {
  return {
    userAgent: settings.userAgent,
    endpoint: settings.endpoint,
    maxRps: settings.maxRps ?? null,
    maxWaitMs: settings.maxWait,
    connectTimeoutMs: settings.connectTimeout,
    pageTimeoutMs: settings.pageTimeout,
    proxy: {
      httpProxy: settings.httpProxy ?? null,
      httpsProxy: settings.httpsProxy ?? null,
      noProxy: settings.noProxy ?? null,
    },
  } satisfies Partial<ApiClientOptions>;
}

/** What the units of the client share; the client makes it once. */
export interface ClientParts {
  readonly options: Required<ApiClientOptions>;
  readonly wire: PageWire;
  readonly redactor: Redactor;
  readonly http: HttpClient;
  readonly waits: Waits;
  readonly silence: Silence;
  /** Aborted when the client is closed. */
  readonly closing: AbortSignal;
}
