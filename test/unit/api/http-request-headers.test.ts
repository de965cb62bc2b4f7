import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dashboardHeaders, pageHeaders } from '../../../src/api/http-request-headers.ts';

void test('user and password of the address are sent, for pages and for stream access', () => {
  const identity = { apiKey: 'key', userAgent: 'agent', baseUrl: 'https://us%40er:p:w@api.test/api/v1' };
  const authorization = `Basic ${Buffer.from('us@er:p:w').toString('base64')}`;
  assert.equal(pageHeaders(identity, true)['authorization'], authorization);
  assert.equal(dashboardHeaders(identity, 'https://api.test')['authorization'], authorization);
});

void test('an address that names nobody adds no header', () => {
  const identity = { apiKey: 'key', userAgent: 'agent', baseUrl: 'https://api.test/api/v1' };
  assert.ok(!('authorization' in pageHeaders(identity, false)));
});
