/** Page, metrics and health over real sockets, seen by friendly, slow, dead and hostile clients. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { createServer as createTcpServer, connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { pino } from 'pino';
import { z } from 'zod';
import { ConfigurationError } from '../../../src/core/errors.ts';
import type { JobSnapshot } from '../../../src/core/job-snapshot.ts';
import { METRICS } from '../../../src/watch/metrics/metric-table.ts';
import { createMetrics } from '../../../src/watch/metrics/metrics.ts';
import { RecentWork } from '../../../src/watch/metrics/recent-work.ts';
import { isOurHost, startHttpServer, type RunningHttpServer } from '../../../src/watch/http-server.ts';
import { MAX_VIEWERS } from '../../../src/watch/viewers.ts';
import { snapshotOf, windowOf } from '../../unit/watch/job-feed.ts';
import { parseScrape, valueOf } from '../../unit/watch/scrape.ts';

const logger = pino({ level: 'silent' });
const work = new RecentWork();

interface Served extends RunningHttpServer {
  /** How often the job was asked for its state. */
  readonly asked: () => number;
}

async function serve(t: TestContext, snapshot: () => JobSnapshot, stallAfterMs = 120_000): Promise<Served> {
  let asked = 0;
  const counted = () => {
    asked += 1;
    return snapshot();
  };
  const metrics = createMetrics(counted);
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    snapshot: counted,
    metrics,
    work,
    stallAfterMs,
    logger,
  });
  t.after(async () => {
    await server.close();
    metrics.close();
  });
  return { ...server, asked: () => asked };
}

interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** A connection of its own, so that nothing is shared with another request; `fetch` would not set Host. */
async function get(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> {
  const request = httpRequest(url, { headers, method, agent: false }).end();
  const [response] = z.tuple([z.custom<import('node:http').IncomingMessage>()]).parse(await once(request, 'response'));
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

/** A viewer on a bare socket, which reads only when the test does. */
async function openViewer(t: TestContext, url: string): Promise<Socket> {
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  t.after(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  socket.write(`GET /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  return socket;
}

/** Reads until the text has come `times` times; answers all that was read. */
async function readUntil(socket: Socket, text: string, times = 1): Promise<string> {
  const chunks: string[] = [];
  let found = 0;
  let tail = '';
  for await (const chunk of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    chunks.push(String(chunk));
    // A text can lie across two chunks; one that was counted cannot be whole in what is kept.
    const looked = tail + String(chunk);
    found += looked.split(text).length - 1;
    tail = looked.slice(1 - text.length);
    if (found >= times) return chunks.join('');
  }
  throw new Error(`the stream ended before "${text}" had come ${times} times`);
}

const moving = () => snapshotOf({ startedAtMs: Date.now() - 5_000, lastProgressMs: Date.now() });

describe('metrics over HTTP', () => {
  it('are what a real parser understands, every documented name among them', async (t) => {
    const { url } = await serve(t, () => ({ ...moving(), requests: 12 }));
    const reply = await get(`${url}/metrics`);
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    const scraped = parseScrape(reply.body);
    assert.deepEqual(scraped.map(({ name }) => name).sort(), Object.keys(METRICS).sort());
    assert.equal(valueOf(scraped, 'datasync_requests_total'), 12);
  });

  it('are OpenMetrics to whoever asks for that', async (t) => {
    const { url } = await serve(t, moving);
    const reply = await get(`${url}/metrics`, {
      accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5',
    });
    assert.equal(reply.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    assert.ok(reply.body.endsWith('# EOF\n'));
  });
});

describe('health over HTTP', () => {
  it('turns from 200 to 503 when the job stalls, and says why', async (t) => {
    let lastProgressMs = Date.now();
    const { url } = await serve(t, () => snapshotOf({ lastProgressMs }), 60_000);
    assert.equal((await get(`${url}/health`)).status, 200);
    lastProgressMs -= 60_000;
    const stalled = await get(`${url}/health`);
    assert.equal(stalled.status, 503);
    assert.match(stalled.body, /"status":"stalled","reason":"nothing has moved for 60 s in phase loading"/);
  });

  it('tells readiness from health', async (t) => {
    const { url } = await serve(t, () => ({ ...moving(), phase: 'starting' }));
    assert.equal((await get(`${url}/health`)).status, 200);
    assert.equal((await get(`${url}/ready`)).status, 503);
  });
});

describe('the HTTP server', () => {
  it('serves the page and all it needs, with no word of any other place', async (t) => {
    const { url } = await serve(t, moving);
    const page = await get(`${url}/`);
    assert.equal(page.status, 200);
    const needed = [...page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path);
    assert.ok(needed.length >= 6);
    for (const path of needed) assert.equal((await get(url + path)).status, 200, path);
    assert.match(String(page.headers['content-security-policy']), /^default-src 'none'; script-src 'self';/);
    assert.doesNotMatch(page.body, /https?:\/\//);
  });

  it('knows no other files, whatever the path', async (t) => {
    const { url } = await serve(t, moving);
    for (const path of ['/page/index.html', '/../package.json', '/%2e%2e/package.json', '/vendor/', '//etc/passwd']) {
      assert.equal((await get(url + path)).status, 404, path);
    }
  });

  it('takes no orders', async (t) => {
    const { url } = await serve(t, moving);
    const reply = await get(`${url}/health`, {}, 'POST');
    assert.equal(reply.status, 405);
    assert.equal(reply.headers.allow, 'GET, HEAD');
    assert.deepEqual(
      [(await get(`${url}/health`, {}, 'HEAD')).status, (await get(`${url}/events`, {}, 'HEAD')).body],
      [200, ''],
    );
  });

  it('on loopback answers to addresses and localhost only: a foreign name may point here', async (t) => {
    const { url } = await serve(t, moving);
    const { port } = new URL(url);
    assert.equal((await get(`${url}/`, { host: `rebound.example:${port}` })).status, 421);
    assert.equal((await get(`${url}/`, { host: `localhost:${port}` })).status, 200);
    assert.ok(isOurHost(`[::1]:${port}`, '127.0.0.1'));
    assert.ok(!isOurHost(undefined, '127.0.0.1'));
    assert.ok(isOurHost('ingestion.internal:9464', '0.0.0.0'));
  });

  it('that cannot have its port says so as a wrong setting', async (t) => {
    const taken = createTcpServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = z.object({ port: z.number() }).parse(taken.address());
    const metrics = createMetrics(moving);
    t.after(() => {
      metrics.close();
    });
    await assert.rejects(
      startHttpServer({ host: '127.0.0.1', port, snapshot: moving, metrics, work, stallAfterMs: 1, logger }),
      (error) => error instanceof ConfigurationError && error.message.includes(`cannot serve on 127.0.0.1:${port}`),
    );
  });

  it('lets go of its port at once, viewers or not', async (t) => {
    const metrics = createMetrics(moving);
    t.after(() => {
      metrics.close();
    });
    const options = { host: '127.0.0.1', snapshot: moving, metrics, work, stallAfterMs: 120_000, logger };
    const first = await startHttpServer({ ...options, port: 0 });
    const viewer = await openViewer(t, first.url);
    await readUntil(viewer, 'event: tick');
    const ended = once(viewer.resume(), 'close');
    await first.close();
    await ended;
    const second = await startHttpServer({ ...options, port: Number(new URL(first.url).port) });
    await second.close();
  });
});

describe('viewers', () => {
  it('get the history, then the state, then a frame now and then', async (t) => {
    const { url } = await serve(t, () => ({ ...moving(), fetchedEvents: 4_711 }));
    const read = await readUntil(await openViewer(t, url), 'event: tick', 2);
    assert.ok(read.indexOf('event: history') < read.indexOf('event: tick'));
    assert.match(read, /"fetchedEvents":4711/);
    assert.match(read, /content-type: text\/event-stream/i);
  });

  it('cost the job one look a frame, besides one a second for the history', async (t) => {
    const { url, asked } = await serve(t, moving);
    const viewer = await openViewer(t, url);
    await readUntil(viewer, 'event: tick');
    const before = asked();
    await readUntil(viewer, 'event: tick', 4);
    assert.ok(asked() - before <= 4 + 3, `${asked() - before} looks`);
  });

  it('are a hundred for the price of one: each frame is made once', async (t) => {
    const { url, asked } = await serve(t, moving);
    const viewers = await Promise.all(Array.from({ length: 100 }, () => openViewer(t, url)));
    await Promise.all(viewers.map((viewer) => readUntil(viewer, 'event: tick')));
    const before = asked();
    const reads = await Promise.all(viewers.map((viewer) => readUntil(viewer, 'event: tick', 2)));
    assert.equal(reads.length, 100);
    // Two frames, and the history's look in between; without sharing it would be two hundred.
    assert.ok(asked() - before <= 10, `${asked() - before} looks for 200 frames`);
  });

  it('beyond the cap are sent away, and the others stay', async (t) => {
    const { url } = await serve(t, moving);
    const viewers = await Promise.all(Array.from({ length: MAX_VIEWERS }, () => openViewer(t, url)));
    await Promise.all(viewers.map((viewer) => readUntil(viewer, 'event: tick')));
    const reply = await get(`${url}/events`);
    assert.equal(reply.status, 503);
    assert.equal(reply.headers['retry-after'], '30');
    assert.equal((await get(`${url}/health`)).status, 200);
    const [first] = viewers;
    assert.ok(first);
    await readUntil(first, 'event: tick');
  });

  it('that do not read miss frames, delay nobody, and see the latest state when they read again', async (t) => {
    // Frames of four megabytes: no socket holds many of them.
    const windows = Array.from({ length: 30_000 }, (_, id) => windowOf(id, { sinceMs: 1, untilMs: 2 }));
    let fetchedEvents = 1;
    const { url } = await serve(t, () => ({ ...moving(), windows, fetchedEvents }));
    const deaf = await Promise.all(Array.from({ length: 10 }, () => openViewer(t, url)));
    for (const viewer of deaf) viewer.pause();
    const reading = await openViewer(t, url);
    await readUntil(reading, 'event: tick', 8);
    assert.equal((await get(`${url}/health`)).status, 200);
    fetchedEvents = 2;
    const [awake] = deaf;
    assert.ok(awake);
    const late = await readUntil(awake, '"fetchedEvents":2,');
    const frames = late.split('event: tick').length - 1;
    assert.ok(frames < 7, `${frames} frames were kept for somebody who did not read`);
  });
});
