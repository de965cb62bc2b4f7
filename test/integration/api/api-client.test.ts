/** What is sent, what is handed on, and what must never leave; over real sockets. */
import assert from 'node:assert/strict';
import { createServer, request, type IncomingMessage } from 'node:http';
import { test, type TestContext } from 'node:test';
import { brotliDecompressSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { describeError } from '../../../src/core/errors.ts';
import {
  AGENT,
  KEY,
  PAGE,
  clientFor,
  listen,
  pageOf,
  pageRequest,
  sendJson,
  serverFor,
  simulatorFor,
  textOf,
} from './api-client-setup.ts';

test('the key travels in a header, never in a URL', async (t) => {
  const server = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  await client.fetchPage(pageRequest({ cursor: 'eyJ+/=_-', sinceMs: 1, untilMs: 2 }));
  const [request] = server.requests;
  assert.equal(request?.headers['x-api-key'], KEY);
  assert.equal(request.headers['user-agent'], AGENT);
  const url = new URL(request.url ?? '', server.origin);
  assert.deepEqual(Object.fromEntries(url.searchParams), { limit: '100', cursor: 'eyJ+/=_-' });
});

test('a page comes in an ArrayBuffer of its own that can be transferred', async (t) => {
  for (const chunked of [false, true]) {
    const simulator = await simulatorFor(t, { events: 5_000, chunked });
    const { client } = clientFor(t, simulator.baseUrl);
    const page = pageOf(await client.fetchPage(pageRequest({ limit: 5_000 })));
    assert.ok(page.bodyBytes > 1_000_000 && page.body.byteLength >= page.bodyBytes);
    assert.ok(Math.abs((page.serverDateMs ?? 0) - page.receivedAtMs) < 2_000);
    const text = textOf(page);
    const moved = structuredClone(page.body, { transfer: [page.body] });
    assert.equal(page.body.byteLength, 0);
    assert.equal(Buffer.from(moved, 0, page.bodyBytes).toString(), text);
  }
});

test('compressed pages are handed on as they came, with what they are compressed with', async (t) => {
  const simulator = await simulatorFor(t, {});
  const plain = clientFor(t, simulator.baseUrl);
  const expected = textOf(pageOf(await plain.client.fetchPage(pageRequest()))).slice(0, 1_000);
  for (const [encoding, decompress] of [
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
    ['br', brotliDecompressSync],
  ] as const) {
    simulator.apply({ compression: [encoding] });
    assert.equal(pageOf(await plain.client.fetchPage(pageRequest())).contentEncoding, 'identity');
    const { client } = clientFor(t, simulator.baseUrl, { acceptCompression: true });
    const page = pageOf(await client.fetchPage(pageRequest()));
    assert.equal(page.contentEncoding, encoding);
    const text = decompress(Buffer.from(page.body, 0, page.bodyBytes)).toString();
    assert.equal(text.slice(0, 1_000), expected);
  }
});

test('a compressed error still says its code', async (t) => {
  const server = await serverFor(t, (_req, res) => {
    res.writeHead(410, { 'content-encoding': 'gzip' }).end(gzipSync('{"code":"CURSOR_EXPIRED"}'));
  });
  const { client } = clientFor(t, server.baseUrl, { acceptCompression: true });
  const answer = await client.fetchPage(pageRequest({ cursor: 'c', cursorReceivedAtMs: Date.now() }));
  assert.ok(answer.kind === 'stale-cursor' && answer.detail.includes('CURSOR_EXPIRED'));
});

test('a body above the bound is not read, whether its length is announced or not', async (t) => {
  for (const announced of [true, false]) {
    const server = await serverFor(t, (_req, res, nth) => {
      if (nth > 1) {
        sendJson(res, 200, PAGE);
        return;
      }
      res.writeHead(200, { 'content-type': 'application/json', ...(announced ? { 'content-length': '9000000' } : {}) });
      res.write('{"data":[');
      const more = setInterval(() => res.write(' '.repeat(10_000)), 1);
      res.on('close', () => {
        clearInterval(more);
      });
    });
    const { client } = clientFor(t, server.baseUrl, { maxPageBytes: 50_000 });
    assert.deepEqual(await client.fetchPage(pageRequest()), { kind: 'too-large', maxEvents: null });
    assert.equal((await client.fetchPage(pageRequest({ limit: 50 }))).kind, 'page');
  }
});

test("an error's body without end is cut, and the connection is not kept", async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth > 1) {
      sendJson(res, 200, PAGE);
      return;
    }
    res.writeHead(500);
    const more = setInterval(() => res.write('x'.repeat(50_000)), 1);
    res.on('close', () => {
      clearInterval(more);
    });
  });
  const { client } = clientFor(t, server.baseUrl);
  assert.equal((await client.fetchPage(pageRequest())).kind, 'page');
});

test('an answer with 60 KB of headers is an answer, in a tunnel and through a proxy as well', async (t) => {
  const server = await serverFor(t, (_req, res) => {
    const headers = Array.from({ length: 60 }, (_, index) => [`x-policy-${index}`, 'p'.repeat(1_000)]);
    sendJson(res, 200, PAGE, Object.fromEntries(headers) as Record<string, string>);
  });
  const proxy = await proxyFor(t, server.origin);
  for (const proxied of [null, { httpProxy: proxy.url, httpsProxy: null, noProxy: null }]) {
    const baseUrl = proxied === null ? server.baseUrl : 'http://api.test/api/v1';
    const { client } = clientFor(t, baseUrl, { proxy: proxied });
    assert.equal(textOf(pageOf(await client.fetchPage(pageRequest()))), PAGE);
  }
});

test('a 203 is a page, and a 204 is an empty one that says it is the last', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth === 1) sendJson(res, 203, PAGE.padEnd(100_000));
    else res.writeHead(204).end();
  });
  const { client } = clientFor(t, server.baseUrl);
  assert.equal(textOf(pageOf(await client.fetchPage(pageRequest()))).trim(), PAGE);
  const empty = JSON.parse(textOf(pageOf(await client.fetchPage(pageRequest())))) as unknown;
  assert.deepEqual(empty, { data: [], hasMore: false });
});

test('a Content-Encoding in several lines is one, and names that name no compression are passed over', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    const encoding = nth === 1 ? ['gzip', 'identity'] : ['utf-8'];
    res
      .writeHead(200, encoding.map((name) => ['content-encoding', name]).flat())
      .end(nth === 1 ? gzipSync(PAGE) : PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  assert.equal(pageOf(await client.fetchPage(pageRequest())).contentEncoding, 'gzip');
  const plain = pageOf(await client.fetchPage(pageRequest()));
  assert.deepEqual([plain.contentEncoding, textOf(plain)], ['identity', PAGE]);
});

test('a page that lacks fields, as the API says itself, is asked for once more, and then noted', async (t) => {
  const chaos = { 'x-chaos-applied': 'latency, missingFields', 'x-chaos-description': 'Some events lack fields' };
  const server = await serverFor(t, (_req, res, nth) => {
    sendJson(res, 200, PAGE, nth === 2 ? {} : chaos);
  });
  const { client, traces } = clientFor(t, server.baseUrl);
  const limitOf = (request: number): string | null =>
    new URL(server.requests[request]?.url ?? '', server.origin).searchParams.get('limit');
  assert.equal(pageOf(await client.fetchPage(pageRequest())).damage, null);
  assert.deepEqual([limitOf(0), limitOf(1)], ['100', '99']);
  assert.doesNotMatch(traces.log, /loaded as they came/);
  assert.match(
    pageOf(await client.fetchPage(pageRequest({ page: 2 }))).damage ?? '',
    /missingFields.*Some events lack/,
  );
  assert.equal(server.requests.length, 4);
  assert.match(traces.log, /lack fields; they are loaded as they came/);
});

interface Proxy {
  readonly url: string;
  /** What it was asked for: hosts of tunnels, and whole URLs. */
  readonly asked: string[];
  readonly credentials: string[];
}

/** A proxy that takes everything to one server, whatever it is asked for; it opens no tunnel. */
async function proxyFor(t: TestContext, upstream: string): Promise<Proxy> {
  const asked: string[] = [];
  const credentials: string[] = [];
  const note = (req: IncomingMessage): void => {
    asked.push(req.url ?? '');
    credentials.push(req.headers['proxy-authorization'] ?? '');
  };
  const server = createServer((req, res) => {
    note(req);
    const { pathname, search } = new URL(req.url ?? '', upstream);
    const forwarded = request(`${upstream}${pathname}${search}`, { maxHeaderSize: 100_000 }, (answer) => {
      answer.pipe(res.writeHead(answer.statusCode ?? 0, answer.headers));
    });
    forwarded.end();
  });
  server.on('connect', (req, socket) => {
    note(req);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  const port = await listen(t, server);
  return { url: `http://user:proxy-password@127.0.0.1:${port}`, asked, credentials };
}

test('plain http goes through the proxy in absolute form, https in a tunnel, and neither to hosts that NO_PROXY names', async (t) => {
  const server = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  const proxy = await proxyFor(t, server.origin);
  const proxied = (noProxy: string) => ({
    proxy: { httpProxy: proxy.url, httpsProxy: null, noProxy },
    firstContactMs: 0,
  });
  pageOf(await clientFor(t, 'http://api.test:81/api/v1', proxied('example.org')).client.fetchPage(pageRequest()));
  assert.deepEqual(proxy.asked, ['http://api.test:81/api/v1/events?limit=100']);
  assert.match(proxy.credentials[0] ?? '', /^Basic /);
  const tunneled = clientFor(t, 'https://api.test/api/v1', proxied('')).client.fetchPage(pageRequest());
  await assert.rejects(tunneled, /403/);
  assert.equal(proxy.asked[1], 'api.test:443');
  pageOf(await clientFor(t, server.baseUrl, proxied('')).client.fetchPage(pageRequest()));
  assert.equal(proxy.asked.length, 2, 'loopback is reached directly');
});

test('key, token and password appear in no log line and no error, whatever fails', async (t) => {
  const token = 'tok_0123456789abcdef0123456789abcdef';
  const password = 'proxy-password';
  // Every answer echoes all that it was sent, in every place that could be quoted.
  const server = await serverFor(t, (req, res, nth) => {
    const echo = JSON.stringify({
      code: 'ECHO',
      message: req.rawHeaders.join(' '),
      key: encodeURIComponent(KEY),
      password,
    });
    if (req.method === 'POST') {
      const access = { endpoint: '/feed', token, expiresIn: 300, tokenHeader: 'x-token' };
      sendJson(res, 200, JSON.stringify({ streamAccess: access }), { 'x-request-id': KEY });
      return;
    }
    const kinds: (() => void)[] = [
      () => {
        sendJson(res, 500, echo, { 'x-request-id': KEY });
      },
      () => {
        sendJson(res, 401, echo);
      },
      () => {
        res.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${echo}</html>`);
      },
      () => {
        res.writeHead(302, { location: `/login/${KEY}/${String(req.headers['x-token'])}` }).end(echo);
      },
      () => res.socket?.destroy(),
      () => {
        sendJson(res, 429, echo, { 'retry-after': '0' });
      },
      () => {
        res.writeHead(200, { 'content-length': '100' }).write(echo.slice(0, 50), () => res.socket?.destroy());
      },
      () => {
        sendJson(res, 418, echo);
      },
      () => {
        sendJson(res, 400, echo);
      },
    ];
    kinds[nth % kinds.length]?.();
  });
  const said: string[] = [];
  for (const endpoint of ['auto', 'stream', 'events'] as const) {
    const { client, traces } = clientFor(t, server.baseUrl, { endpoint, maxWaitMs: 150, secrets: [password] });
    for (let page = 1; page <= 25; page += 1) {
      const cursor = page % 2 === 0 ? 'c' : null;
      const request = pageRequest({ page, cursor, sinceMs: page % 3 === 0 ? 1 : null });
      try {
        said.push(JSON.stringify(await client.fetchPage(request)));
        await client.reportFaultyPage(request, 'not-json', `found ${KEY} and ${endpoint === 'events' ? '' : token}`);
      } catch (error) {
        said.push(describeError(error), error instanceof Error ? (error.stack ?? '') : '', JSON.stringify(error));
      }
      said.push(JSON.stringify(client.waiting));
    }
    said.push(traces.log);
  }
  const all = said.join('\n');
  assert.ok(all.length > 5_000, 'nothing was said');
  for (const secret of [KEY, token, password, encodeURIComponent(KEY)]) {
    const at = all.indexOf(secret);
    assert.equal(at, -1, `a secret was said: ${all.slice(Math.max(0, at - 200), at + 60)}`);
  }
});
