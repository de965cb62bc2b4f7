import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { tcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';

interface Line {
  readonly proxy: TcpProxy;
  readonly client: Socket;
  readonly server: Socket;
}

/** A client and a server that are connected through a proxy. */
async function connectedLine(t: TestContext): Promise<Line> {
  const listener = createServer({ allowHalfOpen: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: address.port });
  const accepted = new Promise<Socket>((resolve) => listener.once('connection', resolve));
  const client = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  const server = await accepted;
  for (const socket of [client, server]) socket.on('error', () => undefined);
  t.after(() => {
    client.destroy();
    server.destroy();
    listener.close();
  });
  return { proxy, client, server };
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    length += chunk.length;
  };
  socket.on('data', onData);
  while (length < bytes) await once(socket, 'data');
  socket.off('data', onData);
  return Buffer.concat(chunks);
}

test('what passes arrives unchanged in both directions, and an end is carried on', async (t) => {
  const { proxy, client, server } = await connectedLine(t);
  const sent = Buffer.alloc(3_000_000, 'abcdefg');
  client.write(sent);
  assert.ok((await read(server, sent.length)).equals(sent));
  client.end();
  server.resume();
  await once(server, 'end');
  server.end(sent);
  assert.ok((await read(client, sent.length)).equals(sent));
  assert.equal(proxy.bytesToServer, sent.length);
  assert.equal(proxy.bytesToClient, sent.length);
});

test('a cut ends both sides with FIN, a reset with RST', async (t) => {
  const first = await connectedLine(t);
  const ended = Promise.all([once(first.client.resume(), 'end'), once(first.server.resume(), 'end')]);
  first.proxy.cut();
  await ended;

  const second = await connectedLine(t);
  const errors = Promise.all([once(second.client, 'error'), once(second.server, 'error')]);
  second.proxy.reset();
  for (const [error] of await errors) assert.match(String(error), /ECONNRESET/);
});

test('a black hole carries nothing and ends nothing, also when one side goes away; leaving it resets', async (t) => {
  const { proxy, client, server } = await connectedLine(t);
  const heard: string[] = [];
  server.on('data', (chunk) => heard.push(String(chunk)));
  server.on('end', () => heard.push('end'));
  server.on('close', () => heard.push('close'));
  proxy.setMode('black-hole');
  client.write('lost');
  while (proxy.bytesSwallowed === 0) await turn();
  client.destroy();
  assert.deepEqual(heard, []);
  const closed = new Promise((resolve) => server.once('close', resolve));
  proxy.setMode('pass');
  await closed;
  assert.deepEqual(heard, ['close']);
  assert.equal(proxy.open, 0);
});

test('throttling holds each connection to its rate', async (t) => {
  const { proxy, client, server } = await connectedLine(t);
  proxy.throttle(100_000);
  const startedMs = performance.now();
  client.write(Buffer.alloc(50_000));
  await read(server, 50_000);
  const seconds = (performance.now() - startedMs) / 1000;
  assert.ok(seconds >= 0.35, `50 kB at 100 kB/s took ${seconds} s`);
});

test('a refusing proxy resets who connects', async (t) => {
  const { proxy } = await connectedLine(t);
  proxy.setMode('refuse');
  const refused = connect(proxy.port, '127.0.0.1');
  const errors: unknown[] = await once(refused, 'error');
  assert.match(String(errors[0]), /ECONNRESET/);
});
