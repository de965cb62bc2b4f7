/** Where a walk's next request starts, and how long that is good for. */
import type { PageRequest, RawPage } from '../../api/api-client.ts';

/** A cursor lives 116 s: an older one is not worth a request where a time does as well. */
const CURSOR_TRUSTED_MS = 100_000;
/** A page out of the API's cache can be as old as the cache. */
const CACHE_LIFE_MS = 30_000;

export interface NextPage {
  /** From 1 within the window. */
  readonly page: number;
  readonly cursor: string | null;
  /** Epoch ms of our clock. */
  readonly cursorReceivedAtMs: number | null;
}

/** The age of a cursor counts from the moment its response arrived, or was put into the cache. */
export function nextPage(request: PageRequest, raw: RawPage, cursor: string | null): NextPage {
  const receivedAtMs = raw.receivedAtMs - (raw.fromCache ? CACHE_LIFE_MS : 0);
  return { page: request.page + 1, cursor, cursorReceivedAtMs: cursor === null ? null : receivedAtMs };
}

/** Whether a request that was asked ahead is the one that is wanted now. */
export function isFor(request: PageRequest, next: NextPage): boolean {
  return request.page === next.page && request.cursor === next.cursor;
}

/** Whether the cursor probably lives. */
export function isTrusted({ cursor, cursorReceivedAtMs }: NextPage): boolean {
  return cursor !== null && cursorReceivedAtMs !== null && Date.now() - cursorReceivedAtMs < CURSOR_TRUSTED_MS;
}
