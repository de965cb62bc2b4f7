import { constants, brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';

import type { ContentEncoding } from '../core/encoded-page.ts';

/** A page that decodes to more is a bomb, or not a page: 5,000 events of the live API are 1.7 MB. */
export const MAX_DECODED_BYTES = 256 * 1024 * 1024;
/** Pages of events compress about five times; a first guess that holds saves growing in steps of 16 KiB. */
const EXPECTED_RATIO = 8;
const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;

/** Whole bytes of a page in an ArrayBuffer of its own, ready to be transferred. */
export interface DecodedBody {
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
}

/**
 * Undoes the Content-Encoding. `identity` gives back what it got, without a copy. A string: why it cannot be decoded.
 */
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
      // The default would flush what there is; a cut stream must be an error.
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

/** zlib's results can be slices of a larger or shared buffer, and a shared one must never be transferred. */
function ownBuffer(bytes: Buffer): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && buffer.byteLength === bytes.byteLength) return buffer;
  return new Uint8Array(bytes).buffer;
}
