/** Pages in other words: wrapped, without a list, null for one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodePage, type PageEncoding } from '../../../../src/encode/encode-page.ts';
import { bytesOf, readRows, TEXT_COLUMNS } from '../rows/copy-stream-reader.ts';

function pageOf(body: string): PageEncoding {
  const page = encodePage(bytesOf(body), TEXT_COLUMNS);
  if ('fault' in page) assert.fail(`${page.fault}: ${page.detail}`);
  return page;
}

describe('a page that is wrapped in a member of its own', () => {
  for (const body of [
    '{"data":{"data":[{"id":"a"},{"id":"b"}],"hasMore":true,"nextCursor":"c"}}',
    '{"success":true,"data":{"events":[{"id":"a"},{"id":"b"}]},"pagination":{"hasMore":true,"nextCursor":"c"}}',
    '{"hasMore":true,"data":{"nextCursor":"c","data":[{"id":"a"},{"id":"b"}]},"meta":{}}',
  ]) {
    it(`is a page: ${body}`, () => {
      const page = pageOf(body);
      assert.deepEqual(
        readRows(page, TEXT_COLUMNS).map(({ id }) => id),
        ['a', 'b'],
      );
      assert.deepEqual([page.envelope.hasMore, page.envelope.nextCursor], [true, 'c']);
    });
  }

  it('says nothing about the events of another list', () => {
    const page = pageOf('{"events":[{"id":"a"}],"data":{"error":"x","hasMore":false}}');
    assert.equal(page.rowCount, 1);
    assert.deepEqual([page.envelope.hasMore, page.envelope.speaksOfError], [null, false]);
  });
});

describe('a page without a list', () => {
  for (const body of [
    '{"data":null,"hasMore":false}',
    '{"data":{"data":null,"hasMore":false}}',
    '{"pagination":{"hasMore":false,"nextCursor":null},"meta":{"total":3}}',
    '{"hasMore":false}',
    '{"code":0,"message":"ok","data":null,"hasMore":false}',
  ]) {
    it(`is an empty one where it says that nothing follows: ${body}`, () => {
      const page = pageOf(body);
      assert.deepEqual([page.servedCount, page.envelope.hasMore], [0, false]);
    });
  }

  const none: [string, string][] = [
    ['{"items":[],"hasMore":false}', 'no-events'],
    ['{"data":null,"items":[{"id":"a"}],"hasMore":false}', 'no-events'],
    ['{"data":{"id":"a"},"hasMore":false}', 'no-events'],
    ['{"data":{"data":{"data":[{"id":"a"}]}},"hasMore":false}', 'no-events'],
    ['{"data":null,"hasMore":true,"nextCursor":"c"}', 'no-events'],
    ['{"data":null}', 'no-events'],
    ['{"data":null,"hasMore":false,"error":"timeout"}', 'error-object'],
    ['{"hasMore":false,"code":"TIMEOUT"}', 'error-object'],
  ];
  for (const [body, fault] of none) {
    it(`is none where it may hold something, more follows, or something failed: ${body}`, () => {
      const page = encodePage(bytesOf(body), TEXT_COLUMNS);
      assert.equal('fault' in page ? page.fault : 'none', fault);
    });
  }
});
