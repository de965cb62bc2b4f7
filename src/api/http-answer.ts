/** What an answer is, told from its headers and a glance at its bytes. */
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { ContentEncoding } from '../core/encoded-page.ts';
import type { HttpAnswer } from './http-exchange.ts';

/** Most bytes read of a body that is no page. */
export const MAX_ERROR_BYTES = 65_536;

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The bytes of the body. */
export function bodyOf(answer: HttpAnswer): Uint8Array {
  return new Uint8Array(answer.body, 0, answer.bodyBytes);
}

/** `null` for an encoding that was not asked for and that nobody here can undo. */
export function readContentEncoding(answer: HttpAnswer): ContentEncoding | null {
  const name = (answer.headers.get('content-encoding') ?? 'identity').trim().toLowerCase();
  switch (name) {
    case '':
    case 'identity':
      return 'identity';
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    case 'br':
      return 'br';
    default:
      return null;
  }
}

/** The answer came from the API's cache: it cost no budget, and its cursor can be as old as the cache. */
export function isFromCache(answer: HttpAnswer): boolean {
  return /\bhit\b/i.test(answer.headers.get('x-cache') ?? '');
}

export function readRequestId(answer: HttpAnswer): string | null {
  return answer.headers.get('x-request-id') ?? answer.headers.get('x-correlation-id');
}

/** Why a 200 cannot be a page; `null` when nothing speaks against it. Of a compressed body only the headers are judged. */
export function findFault(answer: HttpAnswer, encoding: ContentEncoding | null): string | null {
  if (encoding === null) return `its Content-Encoding is ${answer.headers.get('content-encoding') ?? ''}`;
  if (answer.bodyBytes === 0) return 'its body is empty';
  const type = answer.headers.get('content-type') ?? '';
  if (/html/i.test(type)) return `its Content-Type is ${type}`;
  if (encoding !== 'identity') return null;
  const body = bodyOf(answer);
  if (body.find(isNoSpace) !== OPEN_BRACE) return 'its body does not begin with {';
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
  const nested = textOrRecord(json, 'error');
  return {
    bytes,
    json,
    apiCode: text(json, 'code') ?? text(nested, 'code'),
    requestId: text(json, 'requestId') ?? text(textOrRecord(json, 'meta'), 'requestId'),
  };
}

function decompress(answer: HttpAnswer): Uint8Array {
  const bytes = bodyOf(answer);
  const bound = { maxOutputLength: MAX_ERROR_BYTES };
  try {
    switch (readContentEncoding(answer)) {
      case 'gzip':
        return gunzipSync(bytes, bound);
      case 'deflate':
        return inflateSync(bytes, bound);
      case 'br':
        return brotliDecompressSync(bytes, bound);
      case 'identity':
      case null:
        return bytes;
    }
  } catch {
    // Cut or larger than the bound: its raw bytes would only fill the message with noise.
    return new Uint8Array(0);
  }
}

function textOrRecord(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && key in value ? Reflect.get(value, key) : null;
}

function text(value: unknown, key: string): string | null {
  const found = textOrRecord(value, key);
  return typeof found === 'string' && found !== '' ? found : null;
}
