/** Walks over a list of events page by page, as a window's walk does, through the encoder in this process: no sockets, no table. */
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

export interface Walked {
  readonly rows: readonly StoredRow[];
  readonly anomalies: readonly SetAside[];
  readonly requests: number;
  /** Pages that were taken. */
  readonly pages: number;
  /** Why it was given up; `null` when it came to the end. */
  readonly stuck: string | null;
}

export async function walkPages(events: readonly SourceEvent[], pageSize: number, shape: Shape): Promise<Walked> {
  const limit = new PageLimit(pageSize, 0, { maxPage: Infinity, doubtedMaxPage: null });
  const search = new BrokenEventSearch({ encode: (_, { hints }, raw) => Promise.resolve(encode(raw, hints)) }, limit, {
    traits: { countsReturned: true, mindsLimit: null, largestPage: 0 },
    logger: pino({ level: 'silent' }),
  });
  const rows: StoredRow[] = [];
  const anomalies: SetAside[] = [];
  let [first, page, faults, requests] = [0, 1, 0, 0];
  while (first < events.length) {
    const sent = Math.max(1, limit.value - faults);
    const end = Math.min(first + sent, events.length);
    const nextCursor = end < events.length ? String(end) : null;
    const body = bytesOf(bodyOf(events, { first, end, limit: sent, nextCursor }, shape)).buffer;
    const request = { ...REQUEST, page, limit: sent };
    requests += 1;
    const raw = { body, bodyBytes: body.byteLength, contentEncoding: 'identity' } as const;
    const encoded = await search.encode(request, { instantMs: null }, raw);
    if (encoded.status === 'faulty') {
      if (encoded.isNarrowed !== true) faults += 1;
      if (faults < MAX_FAULTS) continue;
      return { rows, anomalies, requests, pages: page - 1, stuck: encoded.detail };
    }
    for (const row of readRows(encoded, TEXT_COLUMNS))
      rows.push({ ...row, id: row.id ?? '', deviceType: row.device_type });
    anomalies.push(...encoded.anomalies.map(({ kind, original }) => ({ kind, original: Buffer.from(original) })));
    [first, page, faults] = [end, page + 1, 0];
  }
  return { rows: rows.map(compared), anomalies, requests, pages: page - 1, stuck: null };
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
