/** Where a walk's next request starts, and whether its cursor is too old to be used. */
import type { PageRequest, RawPage } from '../../api/api-client.ts';
import type { PageEnvelope } from '../../core/encoded-page.ts';

/** A cursor lives 116 s: an older one is not worth a request where a time does as well. */
const CURSOR_TRUSTED_MS = 100_000;
/** A page out of the API's cache can be as old as the cache. */
const CACHE_LIFE_MS = 30_000;
/** The number of a page, or of an event: of pages how long they are says where it stands. */
const COUNTING = /^\d{1,9}$/;
/** The first page of a list leads to page 1 or 2, or else the number is no page's. */
const MAX_SECOND_PAGE = 2;
/** Events of a page that can be asked for without its last ones, at least. */
const MIN_EVENTS = 4;

/** A look at an end, from above it or from under it: see behind-end.ts. */
export interface Look {
  readonly step: 'from' | 'through' | 'under';
  /** The request that the look stands in for, sent when the look shows nothing; `null`: then the walk ends as it would have. */
  readonly original: NextPage | null;
  readonly isDoubtful: boolean;
  /** From where down the look from under it asks, epoch ms. */
  readonly underMs?: number;
}

export interface NextPage {
  /** From 1 within the window. */
  readonly page: number;
  readonly cursor: string | null;
  /** Epoch ms of our clock. */
  readonly cursorReceivedAtMs: number | null;
  /** As its page says it; `null` when nobody knows. */
  readonly cursorLifeMs: number | null;
  /** See {@link PageRequest.cursorFrom}. */
  readonly cursorFrom?: PageRequest['cursorFrom'];
  /** See {@link PageRequest.cursorLimit}. */
  readonly cursorLimit?: PageRequest['cursorLimit'];
  /** See {@link PageRequest.across}. */
  readonly across?: 'below' | 'top' | undefined;
  /** See {@link PageRequest.keepsEnds}. */
  readonly keepsEnds?: boolean | undefined;
  /** The page that gave the cursor said that nothing follows it, or that is supposed, because it is short. */
  readonly pastEnd?: 'said' | 'supposed' | undefined;
  /** It is asked for to look at an end from above. */
  readonly look?: Look | undefined;
}

/**
 * The age of a cursor counts from the moment its response arrived, or was put into the cache.
 * @param request its limit is the one that was sent
 * @param envelope `null`: what the page says of its cursor is not used
 */
export function nextPage(
  { page, limit, cursor: before, cursorLimit }: Pick<PageRequest, 'page' | 'limit' | 'cursor' | 'cursorLimit'>,
  raw: Pick<RawPage, 'endpoint' | 'receivedAtMs' | 'fromCache'>,
  envelope: Pick<PageEnvelope, 'nextCursor' | 'cursorLifeMs' | 'countsPages'> | null,
): NextPage {
  const cursor = envelope?.nextCursor ?? null;
  const looksCounted = cursor !== null && COUNTING.test(cursor);
  const isOfPages = before === null ? Number(cursor) <= MAX_SECOND_PAGE : isLimitFixed({ cursorLimit });
  const countsPages = envelope?.countsPages ?? (looksCounted && isOfPages);
  const receivedAtMs = raw.receivedAtMs - (raw.fromCache ? CACHE_LIFE_MS : 0);
  return {
    page: page + 1,
    cursor,
    cursorReceivedAtMs: cursor === null ? null : receivedAtMs,
    cursorLifeMs: envelope?.cursorLifeMs ?? null,
    cursorFrom: raw.endpoint,
    cursorLimit: cursor !== null && countsPages ? limit : null,
  };
}

/** How the end of a page is looked at from above; `null`: it is too short, began its list, or stands elsewhere with another limit. */
export function lookFrom(request: Omit<PageRequest, 'signal'>, servedCount: number): NextPage | null {
  const { page, cursor, cursorReceivedAtMs, cursorLifeMs, cursorFrom } = request;
  if (cursor === null || isLimitFixed(request) || servedCount < MIN_EVENTS) return null;
  const cursorLimit = servedCount - (servedCount >> 2);
  return { page, cursor, cursorReceivedAtMs, cursorLifeMs, cursorFrom, cursorLimit };
}

/** Whether a request that was asked ahead is the one that is wanted now. */
export function isFor(request: PageRequest, next: NextPage): boolean {
  return request.page === next.page && request.cursor === next.cursor;
}

/** Whether the cursor probably lives. */
export function isTrusted({ cursor, cursorReceivedAtMs }: NextPage): boolean {
  return cursor !== null && cursorReceivedAtMs !== null && Date.now() - cursorReceivedAtMs < CURSOR_TRUSTED_MS;
}

/** Whether a cursor may be dead: an answer that is no error need not be one to it. A stored one may be from another day. */
export function mayBeDead(
  { cursor, cursorReceivedAtMs, cursorLifeMs }: Pick<NextPage, 'cursor' | 'cursorReceivedAtMs' | 'cursorLifeMs'>,
  storedCursor: string | null,
): boolean {
  if (cursor === null) return false;
  const ageMs = Date.now() - (cursorReceivedAtMs ?? -Infinity);
  return cursor === storedCursor || ageMs > (cursorLifeMs ?? CURSOR_TRUSTED_MS);
}

/** Whether the cursor stands elsewhere with another limit than that of the page that gave it. */
export function isLimitFixed({ cursorLimit }: Pick<NextPage, 'cursorLimit'>): boolean {
  return typeof cursorLimit === 'number';
}
