/**
 * The next cursor of a page, read off its raw bytes, so that the next page can be asked for while a worker still encodes
 * this one. Pure, and only a guess: the walk goes on by what the worker has read, and a wrong guess costs one request.
 *
 *   {"pagination":{…},"data":[ …1.7 MB… ],"meta":{…}}
 *   └────── head ───────────┘             └── rest ──┘
 */
import type { ContentEncoding } from '../core/encoded-page.ts';

/** An envelope has a few hundred bytes. Where head or rest is longer, nothing is guessed. */
const MAX_ENVELOPE_BYTES = 4_096;
const HAS_MORE = /"has_?more"\s*:\s*(?:true|1|"(?:true|1|yes|y)")/i;
const NEXT_CURSOR = /"next_?cursor"\s*:\s*("(?:[^"\\]|\\.)+")/i;

export interface PageBody {
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  readonly contentEncoding: ContentEncoding;
}

/** `null` when there is no next page, the page is compressed, or nothing can be guessed. */
export function guessNextCursor({ body, bodyBytes, contentEncoding }: PageBody): string | null {
  if (contentEncoding !== 'identity') return null;
  const bytes = Buffer.from(body, 0, bodyBytes);
  const head = bytes.subarray(0, bytes.indexOf('[') + 1);
  const rest = bytes.subarray(bytes.lastIndexOf(']') + 1);
  if (head.length + rest.length > MAX_ENVELOPE_BYTES) return null;
  const envelope = `${head.toString()}${rest.toString()}`;
  const literal = NEXT_CURSOR.exec(envelope)?.[1];
  if (literal === undefined || !HAS_MORE.test(envelope)) return null;
  try {
    return JSON.parse(literal) as string;
  } catch {
    return null;
  }
}
