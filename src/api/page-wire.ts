/** How pages of a source are asked for, and how those of the DataSync API are: its two endpoints differ in address and bounds. */
import type { WalkBounds } from '../core/walk-time.ts';
import { guessNextCursor, type PageBody } from './cursor-guess.ts';
import { pageHeaders, type Identity } from './http-request-headers.ts';
import type { StreamToken } from './stream-access.ts';

/** One page, in terms of the walk. */
export interface WirePage {
  /** Most events wanted. */
  readonly limit: number;
  /** The API's own, byte for byte; `null` for a request without one. */
  readonly cursor: string | null;
  /** Bounds in walk time, ms, inclusive in meaning, fractions allowed; `null` is none. They are widened when they are sent. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** What shows whether an endpoint serves. */
export const ONE_EVENT: WirePage = { limit: 1, cursor: null, sinceMs: null, untilMs: null };

/** The same, in terms of HTTP. */
export interface WireRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** A refusal that means "later". */
export interface LaterRefusal {
  readonly status: number;
  /** 0: only where the headers say that nothing is left. */
  readonly remaining?: 0 | undefined;
}

export interface PageWire {
  /** Where the source is asked: the key is sent to this origin and no other. */
  readonly url: URL;
  /** What to look at when the API refuses the key, or is not at its address: sentences. */
  readonly advice: { readonly key: string; readonly address: string };
  /** Whether there may be a stream endpoint. */
  readonly hasStream: boolean;
  /** Which bounds are sent, without a token. */
  readonly bounds: WalkBounds;
  /** Most requests a second, as its description says; `null` where it says nothing. */
  readonly maxRps: number | null;
  /** Refusals that mean "later", besides those that say so themselves. */
  readonly later: readonly LaterRefusal[];
  /**
   * @param token of the stream endpoint; `null`: pages come from {@link url}
   * @param acceptCompression of the answer
   */
  request(page: WirePage, token: StreamToken | null, acceptCompression: boolean): WireRequest;
  /** The next cursor, before a worker has read the page; `null` where it cannot be guessed. */
  guessCursor(page: PageBody): string | null;
}

export const DATASYNC_ADVICE: PageWire['advice'] = {
  key: 'Check TARGET_API_KEY. A key works for 3 hours from its first use: if it worked before, they are probably over.',
  address: 'Check API_BASE_URL.',
};

/** `GET …/events?limit=&cursor=`, and where the stream endpoint was granted, the same there, with `since` and `until`. */
export function dataSyncWire(identity: Identity): PageWire {
  const url = new URL(identity.baseUrl);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/events`;
  return {
    url,
    advice: DATASYNC_ADVICE,
    hasStream: true,
    bounds: { since: false, until: false },
    maxRps: null,
    later: [],
    guessCursor: guessNextCursor,
    request: ({ limit, cursor, sinceMs, untilMs }, token, acceptCompression) => {
      const asked = new URL(token?.url ?? url);
      asked.searchParams.set('limit', String(limit));
      if (cursor !== null) asked.searchParams.set('cursor', cursor);
      const headers = pageHeaders(identity, acceptCompression);
      if (token !== null) {
        headers[token.header] = token.token;
        if (sinceMs !== null) asked.searchParams.set('since', String(Math.floor(sinceMs) - 1));
        if (untilMs !== null) asked.searchParams.set('until', String(Math.ceil(untilMs) + 1));
      }
      return { method: 'GET', url: asked, headers, body: null };
    },
  };
}
