/** What an answer is, judged by its headers and a glance at its bytes. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { ContentEncoding } from '../core/encoded-page.ts';
import type { HttpAnswer } from './http-exchange.ts';

/** A body that is no page is read up to this length. */
export const MAX_ERROR_BYTES = 65_536;

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** The bytes of the body. */
export function bodyOf(answer: HttpAnswer): Uint8Array {
  return new Uint8Array(answer.body, 0, answer.bodyBytes);
}

const ENCODINGS = new Map<string, ContentEncoding>([
  ['', 'identity'],
  ['identity', 'identity'],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
]);

/** `null` for an encoding that was not asked for and that nobody here can undo. */
export function readContentEncoding(answer: HttpAnswer): ContentEncoding | null {
  return ENCODINGS.get((answer.headers.get('content-encoding') ?? '').trim().toLowerCase()) ?? null;
}

export function readRequestId(answer: HttpAnswer): string | null {
  return answer.headers.get('x-request-id') ?? answer.headers.get('x-correlation-id');
}

/** Why a 200 cannot be a page; `null` when it may be one. A compressed body is judged by its headers only. */
export function findFault(answer: HttpAnswer, encoding: ContentEncoding | null): string | null {
  if (encoding === null) return `its Content-Encoding is ${answer.headers.get('content-encoding') ?? ''}`;
  if (answer.bodyBytes === 0) return 'its body is empty';
  const type = answer.headers.get('content-type') ?? '';
  if (/html/i.test(type)) return `its Content-Type is ${type}`;
  if (encoding !== 'identity') return null;
  const body = bodyOf(answer);
  // Some servers put a byte order mark before all that they send.
  const text = BYTE_ORDER_MARK.every((byte, at) => body[at] === byte) ? body.subarray(BYTE_ORDER_MARK.length) : body;
  if (text.find(isNoSpace) !== OPEN_BRACE) return 'its body does not begin with {';
  return body.findLast(isNoSpace) === CLOSE_BRACE ? null : 'its body does not end with }';
}

function isNoSpace(byte: number): boolean {
  return byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09;
}

/** An error's body: decompressed, parsed if it is JSON, and the API's own code and request id. */
export interface ErrorBody {
  readonly bytes: Uint8Array;
  readonly json: unknown;
  readonly apiCode: string | null;
  readonly requestId: string | null;
}

export function readErrorBody(answer: HttpAnswer): ErrorBody {
  const bytes = decompress(answer);
  let json: unknown = null;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // A load balancer's page.
  }
  return {
    bytes,
    json,
    apiCode: textOf(json, 'code') ?? textOf(memberOf(json, 'error'), 'code'),
    requestId: textOf(json, 'requestId') ?? textOf(memberOf(json, 'meta'), 'requestId'),
  };
}

const DECOMPRESSORS = { gzip: gunzipSync, deflate: inflateSync, br: brotliDecompressSync };

function decompress(answer: HttpAnswer): Uint8Array {
  const bytes = bodyOf(answer);
  const encoding = readContentEncoding(answer) ?? 'identity';
  if (encoding === 'identity') return bytes;
  try {
    return DECOMPRESSORS[encoding](bytes, { maxOutputLength: MAX_ERROR_BYTES });
  } catch {
    // Cut or larger than the bound: its raw bytes would only fill the message with noise.
    return new Uint8Array(0);
  }
}

/** A member of a JSON value; `null` when it has none of this name. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value ? Reflect.get(value, name) : null;
}

function textOf(value: unknown, name: string): string | null {
  const found = memberOf(value, name);
  return typeof found === 'string' && found !== '' ? found : null;
}
