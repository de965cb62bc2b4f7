/** What an answer is, judged by its headers and a glance at its bytes. */
import { beginsWithBrace, decodeBody, isNoSpace, readContentEncoding } from '../core/body-decoding.ts';
import type { ContentEncoding } from '../core/encoded-page.ts';
import type { HttpAnswer } from './http-exchange.ts';

/** A body that is no page is read up to this length. */
export const MAX_ERROR_BYTES = 65_536;

const CLOSE_BRACE = 0x7d;

/** The bytes of the body. */
export function bodyOf(answer: HttpAnswer): Uint8Array {
  return new Uint8Array(answer.body, 0, answer.bodyBytes);
}

export function contentEncodingOf(answer: HttpAnswer): ContentEncoding {
  return readContentEncoding(answer.headers.all('content-encoding'));
}

export function readRequestId(answer: HttpAnswer): string | null {
  return answer.headers.get('x-request-id') ?? answer.headers.get('x-correlation-id');
}

/**
 * Why a body is surely no page; `null` when it may be one: the scanner decides. Only its bytes count, because some servers call
 * JSON text/html. A compressed body is not judged here.
 */
export function findFault(answer: HttpAnswer, encoding: ContentEncoding): string | null {
  if (answer.bodyBytes === 0) return 'its body is empty';
  if (encoding !== 'identity') return null;
  const body = bodyOf(answer);
  if (!beginsWithBrace(body)) return 'its body does not begin with {';
  return body.findLast(isNoSpace) === CLOSE_BRACE ? null : 'its body does not end with }';
}

const LACKS_FIELDS = /\bmissing_?fields\b/i;

/** Half a sentence; `null` unless the API says itself that events of this page lack fields that they have. */
export function readDamage(answer: HttpAnswer): string | null {
  const applied = answer.headers.all('x-chaos-applied') ?? '';
  if (!LACKS_FIELDS.test(applied)) return null;
  const description = answer.headers.get('x-chaos-description') ?? '';
  return `X-Chaos-Applied: ${applied}${description === '' ? '' : ` (${description})`}`;
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

function decompress(answer: HttpAnswer): Uint8Array {
  const decoded = decodeBody(answer.body, answer.bodyBytes, contentEncodingOf(answer), MAX_ERROR_BYTES);
  // Cut or larger than the bound: its raw bytes would only fill the message with noise.
  return typeof decoded === 'string' ? new Uint8Array(0) : new Uint8Array(decoded.body, 0, decoded.bodyBytes);
}

/** A member of a JSON value; `null` when it has none of this name. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value ? Reflect.get(value, name) : null;
}

function textOf(value: unknown, name: string): string | null {
  const found = memberOf(value, name);
  return typeof found === 'string' && found !== '' ? found : null;
}
