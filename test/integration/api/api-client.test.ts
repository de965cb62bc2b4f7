/** What is sent, what is handed on, and what must never leave; over real sockets. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
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

/** A proxy that says which way each request came. */
async function proxyFor(t: TestContext): Promise<{ url: string; tunnels: string[]; credentials: string[] }> {
  const tunnels: string[] = [];
  const credentials: string[] = [];
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((_req, res) => res.writeHead(500).end());
  server.on('connect', (req, socket) => {
    tunnels.push(req.url ?? '');
    credentials.push(req.headers['proxy-authorization'] ?? '');
    const [host = '', port = ''] = (req.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const side of [upstream, socket]) {
      sockets.add(side);
      side.on('error', () => {
        upstream.destroy();
        socket.destroy();
      });
    }
  });
  const port = await listen(t, server);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { url: `http://user:proxy-password@127.0.0.1:${port}`, tunnels, credentials };
}

test('requests go through the proxy, except to hosts that NO_PROXY names', async (t) => {
  const proxy = await proxyFor(t);
  const server = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  const through = clientFor(t, server.baseUrl, {
    proxy: { httpProxy: proxy.url, httpsProxy: null, noProxy: 'example.org' },
  });
  pageOf(await through.client.fetchPage(pageRequest()));
  assert.deepEqual(proxy.tunnels, [new URL(server.origin).host]);
  assert.match(proxy.credentials[0] ?? '', /^Basic /);
  const around = clientFor(t, server.baseUrl, {
    proxy: { httpProxy: proxy.url, httpsProxy: null, noProxy: '127.0.0.1' },
  });
  pageOf(await around.client.fetchPage(pageRequest()));
  assert.equal(proxy.tunnels.length, 1);
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
