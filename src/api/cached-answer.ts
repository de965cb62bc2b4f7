/** Whether an answer came out of a cache, the API's own or one on the way to it. Pure. */
import type { HttpHeaders } from './http-headers.ts';

/** `X-Cache`, `CF-Cache-Status`, `Cache-Status`, `X-Proxy-Cache`; not `Cache-Control` or `X-Cache-Key`. */
const NAME_OF_STATUS = /(?:^|-)cache(?:-status|-remote)?$/;
/** `TCP_MEM_HIT`, `RefreshHit from cloudfront`, `"edge"; hit; ttl=5`, `STALE`; not `fwd=stale`, which was fetched anew. */
const CACHED = /(?:(?<![a-z])|refresh)hit(?![a-z]|=\?0)|(?<![a-z=])(?:stale|updating)(?![a-z])/i;
const POSITIVE = /(?:^|[\s,])0*[1-9]/;
/** The request, and the older one that its answer was fetched for. */
const TWO_NUMBERS = /^\s*\d+\s+\d/;

const SIGNS: readonly { readonly name: RegExp; readonly value: RegExp }[] = [
  { name: NAME_OF_STATUS, value: CACHED },
  { name: /^(?:age|x-cache-hits)$/, value: POSITIVE },
  { name: /^x-varnish$/, value: TWO_NUMBERS },
];

/** Such an answer cost no budget. It shows what the API had when it was put into the cache, and its cursor is as old. */
export function isFromCache(headers: HttpHeaders): boolean {
  return headers.entries.some(([header, text]) =>
    SIGNS.some(({ name, value }) => name.test(header) && value.test(text)),
  );
}
