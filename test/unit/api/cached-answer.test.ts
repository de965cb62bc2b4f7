import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFromCache } from '../../../src/api/cached-answer.ts';
import { HttpHeaders } from '../../../src/api/http-headers.ts';

type Headers = Readonly<Record<string, string | string[]>>;

const FROM_CACHES: readonly Headers[] = [
  { 'x-cache': 'HIT' },
  { 'x-cache': 'Hit from cloudfront' },
  { 'x-cache': 'RefreshHit from cloudfront' },
  { 'x-cache': 'TCP_MEM_HIT' },
  { 'x-cache': 'MISS, HIT' },
  { 'x-cache': ['MISS', 'HIT'] },
  { 'cf-cache-status': 'HIT' },
  { 'cf-cache-status': 'STALE' },
  { 'cf-cache-status': 'UPDATING' },
  { 'x-proxy-cache': 'HIT' },
  { 'x-cache-status': 'HIT' },
  { 'cache-status': '"edge one"; fwd=uri-miss, "origin shield"; hit; ttl=12' },
  { age: '25' },
  { 'x-cache-hits': '0, 3' },
  { 'x-varnish': '32770 7' },
];
const FRESH: readonly Headers[] = [
  {},
  { 'x-cache': 'MISS' },
  { 'x-cache': 'Miss from cloudfront' },
  { 'x-cache': 'TCP_REFRESH_MISS from whitehit.example' },
  { 'cf-cache-status': 'DYNAMIC' },
  { 'cache-status': 'HitCache; fwd=stale; fwd-status=200' },
  { 'cache-status': 'edge; hit=?0; fwd=miss' },
  { 'cache-control': 'max-age=30, stale-while-revalidate=5' },
  { 'x-cache-key': '/events?name=hit' },
  { 'x-cache-ttl': '30' },
  { age: '0' },
  { 'x-cache-hits': '0' },
  { 'x-varnish': '32770' },
];

void test('an answer is from a cache when any cache on its way says so', () => {
  for (const headers of FROM_CACHES) assert.ok(isFromCache(new HttpHeaders(headers)), JSON.stringify(headers));
  for (const headers of FRESH) assert.ok(!isFromCache(new HttpHeaders(headers)), JSON.stringify(headers));
});
