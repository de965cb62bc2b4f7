/** Walks over a list of events page by page, as a window's walk does, through the encoder in this process: no sockets, no table. */
import { limitInTurn } from '../../src/api/api-client.ts';
import { encodePage } from '../../src/encode/encode-page.ts';
import { BrokenEventSearch } from '../../src/app/walk/broken-event-search.ts';
import { PageLimit } from '../../src/app/walk/page-limit.ts';
import { pino } from 'pino';
import { bytesOf, readRows, TEXT_COLUMNS } from '../unit/encode/rows/copy-stream-reader.ts';
import { bodyOf, type Shape } from './body.ts';
import type { SourceEvent } from './damaged-events.ts';
import type { SetAside, StoredRow } from './oracle.ts';

/** The client gives a page up that is no page so often. */
const MAX_FAULTS = 10;
/** A walk that asks more often runs in a circle. */
const MAX_REQUESTS = 5_000;

export interface Walked {
  readonly rows: readonly StoredRow[];
  readonly anomalies: readonly SetAside[];
  readonly requests: number;
  /** Pages that were taken. */
  readonly pages: number;
  /** Why it was given up; `null` when it came to the end. */
  readonly stuck: string | null;
}

/** How a list is walked. */
export interface Walking {
  /** Each page begins with the event that the page before ended with. */
  readonly isInclusive?: boolean;
  /** Asked behind each page that was taken: whether another process goes on, which knows nothing of it. */
  readonly isKilled?: () => boolean;
}

export async function walkPages(
  events: readonly SourceEvent[],
  pageSize: number,
  shape: Shape,
  { isInclusive = false, isKilled = () => false }: Walking = {},
): Promise<Walked> {
  let { limit, search } = beginSearch(pageSize);
  const rows: StoredRow[] = [];
  const anomalies: SetAside[] = [];
  let [first, page, faults, requests] = [0, 1, 0, 0];
  let cursor: string | null = null;
  for (;;) {
    const sent = limitInTurn(limit.value, faults, cursor === null ? 1 : 2);
    const end = Math.min(first + sent, events.length);
    const nextCursor = end < events.length ? String(end) : null;
    const body = bytesOf(bodyOf(events, { first, end, limit: sent, nextCursor }, shape)).buffer;
    const request = { ...REQUEST, page, limit: sent, cursor };
    requests += 1;
    const raw = { body, bodyBytes: body.byteLength, contentEncoding: 'identity' } as const;
    const encoded = await search.encode(request, { instantMs: null }, raw);
    const isFaulty = encoded.status === 'faulty';
    // A page whose cursor leads to itself is asked for again.
    if (isFaulty || (nextCursor !== null && nextCursor === cursor)) {
      if (!isFaulty || encoded.isNarrowed !== true) faults += 1;
      if (faults < MAX_FAULTS && requests < MAX_REQUESTS) continue;
      return { rows, anomalies, requests, pages: page - 1, stuck: isFaulty ? encoded.detail : 'it leads to itself' };
    }
    for (const row of readRows(encoded, TEXT_COLUMNS))
      rows.push({ ...row, id: row.id ?? '', deviceType: row.device_type });
    anomalies.push(...encoded.anomalies.map(({ kind, original }) => ({ kind, original: Buffer.from(original) })));
    if (end === events.length) return { rows: rows.map(compared), anomalies, requests, pages: page, stuck: null };
    [first, page, faults, cursor] = [isInclusive ? end - 1 : end, page + 1, 0, nextCursor];
    if (isKilled()) ({ limit, search } = beginSearch(pageSize));
  }
}

/** A search whose pages are encoded in this process. */
export function beginSearch(pageSize: number): { readonly limit: PageLimit; readonly search: BrokenEventSearch } {
  const limit = new PageLimit(pageSize, 0, { maxPage: Infinity, doubtedMaxPage: null });
  const encoder = { encode: (_, { hints }, raw) => Promise.resolve(encode(raw, hints)) } satisfies { encode: Encode };
  const traits = { countsReturned: true, mindsLimit: null, largestPage: 0 };
  return { limit, search: new BrokenEventSearch(encoder, limit, { traits, logger: pino({ level: 'silent' }) }) };
}

function compared({ id, name, type, properties, deviceType }: StoredRow): StoredRow {
  return { id, name, type, properties, deviceType };
}

const REQUEST = {
  windowId: 0,
  cursor: null,
  cursorReceivedAtMs: null,
  cursorLifeMs: null,
  sinceMs: null,
  untilMs: null,
  signal: new AbortController().signal,
} as const;

type Encode = ConstructorParameters<typeof BrokenEventSearch>[0]['encode'];

function encode(
  { body, bodyBytes }: Parameters<Encode>[2],
  hints: Parameters<Encode>[1]['hints'],
): Awaited<ReturnType<Encode>> {
  const bytes = new Uint8Array(body, 0, bodyBytes);
  const page = encodePage(bytes, { ...TEXT_COLUMNS, ...(hints === undefined ? {} : { hints }) });
  if ('fault' in page) return { status: 'faulty', ...page };
  return { ...page, body, bodyBytes, decodeMs: 0, encodeMs: 0 };
}
