import { constants, brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';

import type { ContentEncoding } from '../core/encoded-page.ts';

/** A body that decodes to more is no page: 5,000 events of the live API are 1.7 MB. */
export const MAX_DECODED_BYTES = 256 * 1024 * 1024;
/** Pages compress about five times. A first buffer that is large enough need not grow in steps of 16 KiB. */
const EXPECTED_RATIO = 8;
const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;

/** A page in an ArrayBuffer of its own, ready to be transferred. */
interface DecodedBody {
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
}

/** Undoes the Content-Encoding; `identity` is not copied. Returns a string if it cannot: the reason. */
export function decodeBody(body: ArrayBuffer, bodyBytes: number, encoding: ContentEncoding): DecodedBody | string {
  if (encoding === 'identity' || bodyBytes === 0) return { body, bodyBytes };
  try {
    const decoded = decompress(new Uint8Array(body, 0, bodyBytes), encoding);
    return { body: ownBuffer(decoded), bodyBytes: decoded.byteLength };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `The body of ${bodyBytes} bytes is not ${encoding}, or was cut: ${reason}.`;
  }
}

function decompress(bytes: Uint8Array, encoding: Exclude<ContentEncoding, 'identity'>): Buffer {
  const options = {
    maxOutputLength: MAX_DECODED_BYTES,
    chunkSize: Math.min(Math.max(bytes.length * EXPECTED_RATIO, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES),
  };
  switch (encoding) {
    case 'gzip':
      return gunzipSync(bytes, options);
    case 'br':
      // A cut stream must be an error; by default brotli would return what it has.
      return brotliDecompressSync(bytes, { ...options, finishFlush: constants.BROTLI_OPERATION_FINISH });
    case 'deflate':
      return inflateEither(bytes, options);
  }
}

/** RFC 9110 means zlib's format by "deflate"; some servers send raw deflate. */
function inflateEither(bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }): Buffer {
  try {
    return inflateSync(bytes, options);
  } catch (error) {
    const isOtherFormat = error instanceof Error && 'code' in error && error.code === 'Z_DATA_ERROR';
    if (!isOtherFormat) throw error;
    return inflateRawSync(bytes, options);
  }
}

/** A result of zlib may be a slice of a larger, shared buffer, which must not be transferred. */
function ownBuffer(bytes: Buffer): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && buffer.byteLength === bytes.byteLength) return buffer;
  return new Uint8Array(bytes).buffer;
}
