import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

import type { ContentEncoding } from '../../../src/core/encoded-page.ts';
import { decodeBody, MAX_DECODED_BYTES, readContentEncoding } from '../../../src/core/body-decoding.ts';
import { bytesOf } from '../encode/rows/copy-stream-reader.ts';

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
        assert.ok('body' in decoded);
        assert.equal(Buffer.from(decoded.body, 0, decoded.bodyBytes).toString(), text);
        const moved = structuredClone(decoded.body, { transfer: [decoded.body] });
        assert.equal(moved.byteLength, decoded.bodyBytes);
      }
    });

    it(`calls ${name} that was cut, or is something else, undecodable`, () => {
      const compressed = bytesOf(compress(TEXT));
      for (const length of [1, 2, 10, 100, compressed.length >> 1, compressed.length - 1]) {
        assert.equal(faultOf(decodeBody(compressed.buffer, length, encoding)), 'undecodable', `cut to ${length}`);
      }
      const other = bytesOf('<html>502 Bad Gateway</html>');
      assert.equal(faultOf(decodeBody(other.buffer, other.length, encoding)), 'undecodable');
    });
  }

  it('undoes several compressions, the last one first', () => {
    for (const [encoding, bytes] of [
      ['gzip, gzip', gzipSync(gzipSync(TEXT))],
      ['br, gzip', gzipSync(brotliCompressSync(TEXT))],
      ['deflate, br', brotliCompressSync(deflateSync(TEXT))],
    ] as const) {
      const { buffer, length } = bytesOf(bytes);
      assert.equal(textOf(decodeBody(buffer, length, encoding)), TEXT, encoding);
    }
  });

  it('passes over a compression that was named and not applied', () => {
    for (const text of [TEXT, `\ufeff\r\n${TEXT}`]) {
      for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, br']) {
        const { buffer, length } = bytesOf(text);
        assert.equal(textOf(decodeBody(buffer, length, encoding)), text, encoding);
      }
    }
    const once = bytesOf(gzipSync(TEXT));
    assert.equal(textOf(decodeBody(once.buffer, once.length, 'gzip, gzip')), TEXT);
  });

  it('says what nobody here can undo', () => {
    const { buffer, length } = bytesOf(Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2]));
    assert.match(textOf(decodeBody(buffer, length, 'zstd')), /is not zstd.*nobody here can undo it/);
  });

  it('leaves an empty body empty: it is cut, whatever it says it is', () => {
    assert.deepEqual(decodeBody(new ArrayBuffer(0), 0, 'gzip'), { body: new ArrayBuffer(0), bodyBytes: 0 });
  });

  it('does not let a small body grow without end: it is too large', () => {
    const bomb = bytesOf(gzipSync(gzipBomb()));
    assert.ok(bomb.length < 1_000_000);
    assert.equal(faultOf(decodeBody(bomb.buffer, bomb.length, 'gzip')), 'too-large');
  });
});

describe('readContentEncoding', () => {
  it('keeps the names of compressions, in their order', () => {
    assert.equal(readContentEncoding('gzip'), 'gzip');
    assert.equal(readContentEncoding(' GZip , identity'), 'gzip');
    assert.equal(readContentEncoding('aws-chunked,gzip'), 'gzip');
    assert.equal(readContentEncoding('gzip, br'), 'gzip, br');
    assert.equal(readContentEncoding('zstd'), 'zstd');
  });

  it('drops names that name no compression', () => {
    for (const header of [
      null,
      '',
      'identity',
      'none',
      'utf-8',
      'UTF8',
      'aws-chunked',
      'binary',
      'iso-8859-1',
      'identity, utf-8',
      ',',
    ])
      assert.equal(readContentEncoding(header), 'identity', String(header));
  });
});

function textOf(decoded: ReturnType<typeof decodeBody>): string {
  return 'fault' in decoded ? decoded.detail : Buffer.from(decoded.body, 0, decoded.bodyBytes).toString();
}

function faultOf(decoded: ReturnType<typeof decodeBody>): string | null {
  return 'fault' in decoded ? decoded.fault : null;
}

function gzipBomb(): Uint8Array {
  return new Uint8Array(MAX_DECODED_BYTES + 1);
}
