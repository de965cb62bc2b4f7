/** Batches encoded beforehand, in one file. Each page is: u32 bytes, u32 rows (little endian), the complete COPY stream. */
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { firstSourceOrder } from '../../src/core/state.ts';
import { encodePage } from '../../src/encode/encode-page.ts';
import type { IdColumnTypes } from '../../src/core/encoded-page.ts';

export interface Batch {
  readonly rows: Uint8Array;
  readonly rowCount: number;
}

const HEAD_BYTES = 8;
const PAGE_SIZE = 5_000;
const MAX_EVENT_BYTES = 16 * 2 ** 20;
/** Id of the chain's only window. */
export const BATCH_WINDOW = 1;
export const ID_COLUMN_TYPES: IdColumnTypes = { id: 'uuid', sessionId: 'uuid', userId: 'uuid' };

/** Walks the whole data set as one chain, newest first, and writes its batches. @returns events written */
export async function writeBatches(baseUrl: string, file: string): Promise<number> {
  const output = createWriteStream(file);
  let events = 0;
  let page = 0;
  for await (const body of pagesOf(baseUrl)) {
    page += 1;
    const encoded = encodePage(body, {
      idColumnTypes: ID_COLUMN_TYPES,
      firstSourceOrder: firstSourceOrder(BATCH_WINDOW, page),
      maxEventBytes: MAX_EVENT_BYTES,
    });
    if ('fault' in encoded) throw new Error(`page ${page}: ${encoded.detail}`);
    events += encoded.rowCount;
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(encoded.rowsBytes, 0);
    head.writeUInt32LE(encoded.rowCount, 4);
    output.write(head);
    if (!output.write(new Uint8Array(encoded.rows, 0, encoded.rowsBytes))) await once(output, 'drain');
  }
  output.end();
  await once(output, 'finish');
  return events;
}

/** Reads all batches into memory. */
export async function readBatches(file: string): Promise<Batch[]> {
  const bytes = await readFile(file);
  const batches: Batch[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const rowCount = bytes.readUInt32LE(at + 4);
    at += HEAD_BYTES;
    batches.push({ rows: bytes.subarray(at, at + length), rowCount });
    at += length;
  }
  return batches;
}

/** @yields page bodies of one chain over `/events`; the benchmark's simulators have no rate limit there */
export async function* pagesOf(baseUrl: string, pageSize = PAGE_SIZE): AsyncGenerator<Uint8Array> {
  const url = new URL(`${baseUrl}/events`);
  url.searchParams.set('limit', String(pageSize));
  for (;;) {
    const response = await fetch(url, { headers: { 'X-API-Key': 'bench' } });
    if (response.status !== 200) throw new Error(`the simulator answered ${response.status}`);
    const body = new Uint8Array(await response.arrayBuffer());
    yield body;
    // The simulator's envelope comes last by default.
    const cursor = /"nextCursor":"([^"]+)"/.exec(Buffer.from(body.subarray(-1024)).toString('latin1'))?.[1];
    if (cursor === undefined) return;
    url.searchParams.set('cursor', cursor);
  }
}
