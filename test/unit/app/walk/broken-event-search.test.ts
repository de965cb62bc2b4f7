import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { BROKEN_EVENTS } from '../../../../src/api/api-client.ts';
import { BrokenEventSearch } from '../../../../src/app/walk/broken-event-search.ts';
import { PageLimit } from '../../../../src/app/walk/page-limit.ts';
import { encodePage } from '../../../../src/encode/encode-page.ts';
import { bytesOf, TEXT_COLUMNS } from '../../encode/rows/copy-stream-reader.ts';

const REQUEST = {
  windowId: 0,
  page: 1,
  limit: 3,
  cursor: null,
  cursorReceivedAtMs: null,
  cursorLifeMs: null,
  sinceMs: null,
  untilMs: null,
  signal: new AbortController().signal,
} as const;

void test('a page whose events stay unclear is called that, however it is asked for: a new start does not help', async () => {
  const limit = new PageLimit(3, 0, { maxPage: Infinity, doubtedMaxPage: null });
  const encoder: ConstructorParameters<typeof BrokenEventSearch>[0] = {
    encode: (_request, { hints }, { body, bodyBytes }) => {
      const options = { ...TEXT_COLUMNS, ...(hints === undefined ? {} : { hints }) };
      const page = encodePage(new Uint8Array(body, 0, bodyBytes), options);
      return Promise.resolve(
        'fault' in page ? { status: 'faulty', ...page } : { ...page, body, bodyBytes, decodeMs: 0, encodeMs: 0 },
      );
    },
  };
  const search = new BrokenEventSearch(encoder, limit, {
    traits: { countsReturned: true, mindsLimit: null, largestPage: 0 },
    logger: pino({ level: 'silent' }),
  });
  const faults: string[] = [];
  for (let time = 0; time < 3; time += 1) {
    const { buffer } = bytesOf('{"data":[{"id":"a"},{"id":"b","n":NaN}],"hasMore":false}');
    const raw = { body: buffer, bodyBytes: buffer.byteLength, contentEncoding: 'identity' } as const;
    const answer = await search.encode(REQUEST, { instantMs: null }, raw);
    faults.push(answer.status === 'faulty' ? answer.fault : answer.status);
  }
  assert.deepEqual(faults, [BROKEN_EVENTS, BROKEN_EVENTS, BROKEN_EVENTS]);
});
