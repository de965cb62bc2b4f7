import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent, ProxyAgent } from 'undici';
import { Routes } from '../../../src/api/routes.ts';

const HTTP_PROXY = 'http://proxy.test:3128';
const HTTPS_PROXY = 'http://user:pass%40word@secure.test:3129';

/** Where a request goes: the API itself, a proxy that is given the whole URL, or a tunnel. */
function wayOf(url: string, proxies: Partial<ConstructorParameters<typeof Routes>[1]>): string {
  const routes = new Routes({}, { httpProxy: null, httpsProxy: null, noProxy: null, ...proxies });
  const { dispatcher, origin, path } = routes.of(new URL(url));
  void routes.close();
  if (dispatcher instanceof ProxyAgent) return 'tunnel';
  assert.ok(dispatcher instanceof Agent);
  return path.startsWith('/') ? `direct to ${origin}` : `${path} through ${origin}`;
}

void test('without a proxy everything is reached directly', () => {
  assert.equal(wayOf('http://api.test/a?b=c', {}), 'direct to http://api.test');
  assert.equal(wayOf('https://api.test/', {}), 'direct to https://api.test');
});

void test('a proxy is asked for an http address by its whole URL, for an https address to open a tunnel', () => {
  const proxies = { httpProxy: HTTP_PROXY, httpsProxy: HTTPS_PROXY };
  assert.equal(wayOf('http://api.test:81/a?b=c', proxies), `http://api.test:81/a?b=c through ${HTTP_PROXY}`);
  assert.equal(wayOf('https://api.test/', proxies), 'tunnel');
  assert.equal(wayOf('https://api.test/', { httpProxy: HTTP_PROXY }), 'tunnel');
  assert.equal(wayOf('http://api.test/', { httpsProxy: HTTPS_PROXY }), 'direct to http://api.test');
});

void test('the API is named in Host, and the one who asks in Proxy-Authorization', () => {
  const routes = new Routes({}, { httpProxy: HTTPS_PROXY, httpsProxy: '', noProxy: '' });
  const { headers } = routes.of(new URL('http://api.test:81/'));
  void routes.close();
  const named = Buffer.from('user:pass@word').toString('base64');
  assert.deepEqual(headers, { host: 'api.test:81', 'proxy-authorization': `Basic ${named}` });
});

void test('loopback is never reached through a proxy', () => {
  const hosts = [
    'localhost',
    'LOCALHOST.',
    'api.localhost',
    '127.0.0.1',
    '127.1',
    '127.9.9.9',
    '0.0.0.0',
    '[::1]',
    '[::]',
  ];
  for (const host of [...hosts, '[::ffff:127.0.0.1]']) {
    for (const scheme of ['http', 'https']) {
      const way = wayOf(`${scheme}://${host}:8080/`, { httpProxy: HTTP_PROXY });
      assert.match(way, /^direct/, `${scheme}://${host}`);
    }
  }
  for (const host of ['128.0.0.1', '12.7.0.1', 'localhost.test', 'notlocalhost', '[::2]', '[::ffff:1.2.3.4]']) {
    assert.match(wayOf(`http://${host}/`, { httpProxy: HTTP_PROXY }), /through/, host);
  }
});

void test('the hosts of NO_PROXY are reached directly, and those below them', () => {
  const ways = (url: string, noProxy: string): string => wayOf(url, { httpProxy: HTTP_PROXY, noProxy });
  for (const noProxy of ['api.test', 'other.test, api.test', '.test', '*.test', 'API.TEST', 'api.test:80', '*', 'x *'])
    assert.match(ways('http://api.test/', noProxy), /^direct/, noProxy);
  for (const noProxy of ['', ' , ', 'pi.test', 'other.test', 'api.test:81', 'v1.api.test', 'api.tes'])
    assert.match(ways('http://api.test/', noProxy), /through/, noProxy);
  assert.match(ways('https://api.test/', 'api.test:443'), /^direct/);
});
