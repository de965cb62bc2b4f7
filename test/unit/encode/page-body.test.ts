import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

import type { ContentEncoding } from '../../../src/core/encoded-page.ts';
import { decodeBody, MAX_DECODED_BYTES } from '../../../src/encode/page-body.ts';
import { bytesOf } from './rows/copy-stream-reader.ts';

const TEXT = JSON.stringify({
  data: Array.from({ length: 3000 }, (_, index) => ({ id: `event-${index}`, n: index * 7919 })),
});

const COMPRESSED: [string, ContentEncoding, (text: string) => Uint8Array][] = [
  ['gzip', 'gzip', gzipSync],
  ["deflate in zlib's format", 'deflate', deflateSync],
  ['raw deflate', 'deflate', deflateRawSync],
  ['brotli', 'br', brotliCompressSync],
];

describe('decodeBody', () => {
  it('gives back an uncompressed body without a copy', () => {
    const { buffer } = bytesOf(TEXT);
    assert.deepEqual(decodeBody(buffer, 5, 'identity'), { body: buffer, bodyBytes: 5 });
  });

  for (const [name, encoding, compress] of COMPRESSED) {
    it(`decodes ${name} into a buffer that can be transferred`, () => {
      for (const text of [TEXT, 'short', TEXT.repeat(20)]) {
        const compressed = bytesOf(compress(text));
        const decoded = decodeBody(compressed.buffer, compressed.length, encoding);
        assert.ok(typeof decoded !== 'string');
        assert.equal(Buffer.from(decoded.body, 0, decoded.bodyBytes).toString(), text);
        const moved = structuredClone(decoded.body, { transfer: [decoded.body] });
        assert.equal(moved.byteLength, decoded.bodyBytes);
      }
    });

    it(`calls ${name} that was cut, or is something else, undecodable`, () => {
      const compressed = bytesOf(compress(TEXT));
      for (const length of [1, 2, 10, 100, compressed.length >> 1, compressed.length - 1]) {
        assert.equal(typeof decodeBody(compressed.buffer, length, encoding), 'string', `cut to ${length}`);
      }
      const other = bytesOf('<html>502 Bad Gateway</html>');
      assert.equal(typeof decodeBody(other.buffer, other.length, encoding), 'string');
    });
  }

  it('leaves an empty body empty: it is cut, whatever it says it is', () => {
    assert.deepEqual(decodeBody(new ArrayBuffer(0), 0, 'gzip'), { body: new ArrayBuffer(0), bodyBytes: 0 });
  });

  it('does not let a small body grow without end', () => {
    const bomb = bytesOf(gzipSync(gzipBomb()));
    assert.ok(bomb.length < 1_000_000);
    assert.equal(typeof decodeBody(bomb.buffer, bomb.length, 'gzip'), 'string');
  });
});

function gzipBomb(): Uint8Array {
  return new Uint8Array(MAX_DECODED_BYTES + 1);
}
