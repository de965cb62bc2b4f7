/** What an answer is, judged by its headers and a glance at its bytes. */
import { decodeBody, mayBePage, readContentEncoding } from '../core/body-decoding.ts';
import type { ContentEncoding } from '../core/encoded-page.ts';
import type { HttpAnswer } from './http-exchange.ts';

/** A body that is no page is read up to this length. */
export const MAX_ERROR_BYTES = 65_536;

export function contentEncodingOf(answer: HttpAnswer): ContentEncoding {
  return readContentEncoding(answer.headers.all('content-encoding'));
}

export function readRequestId(answer: HttpAnswer): string | null {
  return answer.headers.get('x-request-id') ?? answer.headers.get('x-correlation-id');
}

/**
 * Why the body of an answer needs no reading to be no page: its endpoint has served nothing then. `null` when it may be one, which
 * the scanner decides. What the server calls it does not count: some call JSON text/html.
 */
export function whyNoPage(answer: HttpAnswer): string | null {
  if (answer.bodyBytes === 0) return 'its body is empty';
  const isPossible = mayBePage(new Uint8Array(answer.body, 0, answer.bodyBytes), contentEncodingOf(answer));
  return isPossible ? null : 'its body does not begin with { or [';
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
  const bytes = errorBytesOf(answer);
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

/** The bytes of a body that is no page, decompressed. */
export function errorBytesOf(answer: HttpAnswer): Uint8Array {
  const decoded = decodeBody(answer.body, answer.bodyBytes, contentEncodingOf(answer), MAX_ERROR_BYTES);
  // Cut or larger than the bound: its raw bytes would only fill the message with noise.
  return 'fault' in decoded ? new Uint8Array(0) : new Uint8Array(decoded.body, 0, decoded.bodyBytes);
}

/** A member of a JSON value; `null` when it has none of this name. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value ? Reflect.get(value, name) : null;
}

function textOf(value: unknown, name: string): string | null {
  const found = memberOf(value, name);
  return typeof found === 'string' && found !== '' ? found : null;
}
