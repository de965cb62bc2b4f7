/** Undoes the Content-Encoding of an answer's body: the only place where anybody decompresses. */
import { constants, brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, type ZlibOptions } from 'node:zlib';

import type { ContentEncoding, FaultyPage } from './encoded-page.ts';

/** A body that decodes to more is no page: 5,000 events of the live API are 1.7 MB. */
export const MAX_DECODED_BYTES = 256 * 1024 * 1024;
/** Pages compress about five times. A first buffer that is large enough need not grow in steps of 16 KiB. */
const EXPECTED_RATIO = 8;
const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** The beginning of a compressed body, and the most that it may decode to. */
const GLANCE_BYTES = 1_024;
const MAX_GLANCE_BYTES = 1024 * 1024;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** A page in an ArrayBuffer of its own, ready to be transferred. */
interface DecodedBody {
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
}

/** What the end of the bytes means. */
type Ending = Readonly<Record<'zlib' | 'brotli', number>>;
/** The body's end: one that was cut is an error. Brotli would return what it has by default. */
const FINISH: Ending = { zlib: constants.Z_FINISH, brotli: constants.BROTLI_OPERATION_FINISH };
const AS_FAR_AS_IT_GOES: Ending = { zlib: constants.Z_SYNC_FLUSH, brotli: constants.BROTLI_OPERATION_FLUSH };

/** Why a body cannot be decoded. */
type DecodingFault = Pick<FaultyPage, 'fault' | 'detail'>;

/** Names that servers put into Content-Encoding and that name no compression. */
const NO_COMPRESSION = new Set(['', 'identity', 'none', 'aws-chunked', 'binary', '7bit', '8bit', 'ascii', 'us-ascii']);
/** A charset, at a wrong place. */
const CHARSET = /^(utf-?(8|16|32)|iso-8859-\d+|windows-\d+)/;

/** @param header the value of Content-Encoding, of all its lines; `null` when there is none */
export function readContentEncoding(header: string | null): ContentEncoding {
  const names = (header ?? '').toLowerCase().split(',');
  const compressions = names
    .map((name) => name.trim())
    .filter((name) => !NO_COMPRESSION.has(name) && !CHARSET.test(name));
  return compressions.length === 0 ? 'identity' : compressions.join(', ');
}

/**
 * Undoes the Content-Encoding; `identity` is not copied. A compression that was named and not applied is passed over: some
 * proxies decompress and leave the header as it was.
 */
export function decodeBody(
  body: ArrayBuffer,
  bodyBytes: number,
  encoding: ContentEncoding,
  maxBytes = MAX_DECODED_BYTES,
): DecodedBody | DecodingFault {
  if (encoding === 'identity' || bodyBytes === 0) return { body, bodyBytes };
  const decoded = decode(new Uint8Array(body, 0, bodyBytes), encoding, maxBytes, FINISH);
  return decoded instanceof Uint8Array ? { body: ownBuffer(decoded), bodyBytes: decoded.byteLength } : decoded;
}

/** Whether a body can be a JSON object or list, as its first character shows; of a compressed one only the first bytes are decoded. */
export function mayBePage(body: Uint8Array, encoding: ContentEncoding): boolean {
  const beginsAsPage = (bytes: Uint8Array): boolean => [OPEN_BRACE, OPEN_BRACKET].includes(firstOf(bytes));
  if (encoding === 'identity') return beginsAsPage(body);
  const beginning = decode(body.subarray(0, GLANCE_BYTES), encoding, MAX_GLANCE_BYTES, AS_FAR_AS_IT_GOES);
  if (beginning instanceof Uint8Array) return beginsAsPage(beginning);
  return beginning.fault === 'too-large' || firstOf(body) === OPEN_BRACE;
}

function decode(
  encoded: Uint8Array,
  encoding: ContentEncoding,
  maxBytes: number,
  end: Ending,
): Uint8Array | DecodingFault {
  let bytes = encoded;
  // The one that was applied last is named last.
  for (const compression of encoding.split(', ').toReversed()) {
    try {
      bytes = decompress(bytes, compression, maxBytes, end);
    } catch (error) {
      // It was not compressed. A bracket would say nothing: Brotli may begin with one.
      if (firstOf(bytes) === OPEN_BRACE) continue;
      if (hasCode(error, 'ERR_BUFFER_TOO_LARGE')) {
        return { fault: 'too-large', detail: `The body of ${encoded.length} bytes has more than ${maxBytes} in it.` };
      }
      const reason = error instanceof Error ? error.message : String(error);
      return {
        fault: 'undecodable',
        detail: `The body of ${encoded.length} bytes is not ${encoding}, or was cut: ${reason}.`,
      };
    }
  }
  return bytes;
}

/** The first character, behind white space and the byte order mark that some servers put before all that they send; 0: none. */
function firstOf(bytes: Uint8Array): number {
  const hasMark = BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte);
  return bytes.subarray(hasMark ? BYTE_ORDER_MARK.length : 0).find(isNoSpace) ?? 0;
}

/** White space as JSON has it. */
function isNoSpace(byte: number): boolean {
  return byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09;
}

function decompress(bytes: Uint8Array, compression: string, maxBytes: number, { zlib, brotli }: Ending): Buffer {
  const options = {
    maxOutputLength: maxBytes,
    chunkSize: Math.min(Math.max(bytes.length * EXPECTED_RATIO, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES),
    finishFlush: zlib,
  };
  switch (compression) {
    case 'gzip':
    case 'x-gzip':
      return gunzipSync(bytes, options);
    case 'br':
      return brotliDecompressSync(bytes, { ...options, finishFlush: brotli });
    case 'deflate':
      return inflateEither(bytes, options);
    default:
      throw new Error('it was not asked for, and nobody here can undo it');
  }
}

/** RFC 9110 means zlib's format by "deflate"; some servers send raw deflate. */
function inflateEither(bytes: Uint8Array, options: ZlibOptions): Buffer {
  try {
    return inflateSync(bytes, options);
  } catch (error) {
    if (!hasCode(error, 'Z_DATA_ERROR')) throw error;
    return inflateRawSync(bytes, options);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** A result of zlib may be a slice of a larger, shared buffer, which must not be transferred. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && buffer.byteLength === bytes.byteLength) return buffer;
  return new Uint8Array(bytes).buffer;
}
