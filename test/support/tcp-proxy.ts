/**
 * A TCP proxy on 127.0.0.1 in front of a real server. Its connections can fail in every way that a network can.
 *
 *   client ──▶ proxy ──▶ server        pass | throttle | black hole | cut (FIN) | reset (RST) | refuse
 */
import { once } from 'node:events';
import { createServer, connect, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * `pass` carries everything. `black-hole` accepts bytes and carries none, on old and new connections, without closing them:
 * the half-open connection that keeps a client waiting for ever. `refuse` resets every new connection.
 */
export type ProxyMode = 'pass' | 'black-hole' | 'refuse';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  isForgotten: boolean;
}

export class TcpProxy {
  readonly #server: Server;
  readonly #target: ProxyTarget;
  readonly #pairs = new Set<Pair>();
  #mode: ProxyMode = 'pass';
  #modeChanged: (() => void)[] = [];
  #bytesPerSecond = Infinity;
  #accepted = 0;
  #bytesSwallowed = 0;
  #bytesToServer = 0;
  #bytesToClient = 0;

  private constructor(server: Server, target: ProxyTarget) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (client) => {
      this.#accept(client);
    });
  }

  static async start(target: ProxyTarget): Promise<TcpProxy> {
    // Half-open connections are allowed, so that an answer still comes back after the client has sent its end.
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new TcpProxy(server, target);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy is closed');
    return address.port;
  }

  /** Connections accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** Bytes that were accepted and not carried. */
  get bytesSwallowed(): number {
    return this.#bytesSwallowed;
  }

  get bytesToServer(): number {
    return this.#bytesToServer;
  }

  get bytesToClient(): number {
    return this.#bytesToClient;
  }

  /** @returns the address with the proxy's host and port, for `postgresql://` and `http://` alike */
  urlFor(url: string): string {
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(this.port);
    return changed.href;
  }

  /** Leaving `black-hole` resets its connections: the bytes are lost, and no TCP connection can go on without them. */
  setMode(mode: ProxyMode): void {
    const left = this.#mode;
    this.#mode = mode;
    if (left === 'black-hole' && mode !== 'black-hole') this.reset();
    for (const wake of this.#modeChanged.splice(0)) wake();
  }

  /**
   * Connections that are open now carry nothing any more and stay open, whatever the mode; new ones work. A firewall that has
   * forgotten its connections does this.
   */
  forget(): void {
    for (const pair of this.#pairs) pair.isForgotten = true;
  }

  /** Limits each direction of each connection to this many bytes a second; `Infinity` ends it. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Ends all connections with FIN to both sides, as a closing server does. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.end();
      server.end();
      client.destroySoon();
      server.destroySoon();
    }
  }

  /** Ends all connections with RST to both sides, as a crashed machine or a firewall does. */
  reset(): void {
    for (const { client, server } of this.#pairs) {
      sendReset(client);
      sendReset(server);
    }
  }

  /** Resolves when `count` connections have been accepted since the start. */
  async waitForConnections(count: number): Promise<void> {
    while (this.#accepted < count) await once(this.#server, 'connection');
  }

  async close(): Promise<void> {
    this.setMode('pass');
    this.reset();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    if (this.#mode === 'refuse') {
      client.on('error', () => undefined);
      sendReset(client);
      return;
    }
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const pair: Pair = { client, server, isForgotten: false };
    const isSilent = (): boolean => this.#mode === 'black-hole' || pair.isForgotten;
    this.#pairs.add(pair);
    for (const [side, other] of [
      [client, server],
      [server, client],
    ] as const) {
      side.on('error', () => {
        if (!isSilent()) sendReset(other);
      });
      side.on('close', () => {
        // In a black hole the other side does not learn of it, and its connection is half-open.
        if (!isSilent()) other.destroySoon();
        if (other.destroyed) this.#pairs.delete(pair);
      });
    }
    void this.#carry(client, server, isSilent, (bytes) => (this.#bytesToServer += bytes));
    void this.#carry(server, client, isSilent, (bytes) => (this.#bytesToClient += bytes));
  }

  /** Reads on only when the other side has taken the bytes: the proxy must not hide back-pressure. */
  async #carry(from: Socket, to: Socket, isSilent: () => boolean, count: (bytes: number) => void): Promise<void> {
    try {
      for await (const chunk of bytesOf(from)) {
        if (isSilent()) {
          this.#bytesSwallowed += chunk.length;
          await this.#untilModeChanges(from);
          continue;
        }
        for (const piece of this.#pieces(chunk)) {
          if (to.destroyed) return;
          count(piece.length);
          if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
          if (this.#bytesPerSecond !== Infinity) await delay((piece.length / this.#bytesPerSecond) * 1000);
        }
      }
      if (!isSilent()) to.end();
    } catch {
      // Reset or destroyed: the listeners pass it on to the other side.
    }
  }

  /** Cuts a chunk into what a throttled connection carries in a tenth of a second. */
  #pieces(chunk: Buffer): Buffer[] {
    if (this.#bytesPerSecond === Infinity) return [chunk];
    const size = Math.max(1, Math.floor(this.#bytesPerSecond / 10));
    const pieces: Buffer[] = [];
    for (let offset = 0; offset < chunk.length; offset += size) pieces.push(chunk.subarray(offset, offset + size));
    return pieces;
  }

  /** Nothing more is read meanwhile, so that the sender's buffers fill up. */
  #untilModeChanges(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      this.#modeChanged.push(resolve);
      socket.once('close', resolve);
    });
  }
}

/**
 * A socket whose end was already sent must not be reset: libuv refuses, node then forgets to close it, and the process spins
 * for ever when it exits (seen on Node 20.20).
 */
function sendReset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

async function* bytesOf(socket: Socket): AsyncGenerator<Buffer> {
  // By default the end of one direction would destroy the other one too.
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    if (Buffer.isBuffer(chunk)) yield chunk;
  }
}

function targetOf({ hostname, port }: URL): ProxyTarget {
  return { host: hostname, port: Number(port) };
}

/** Starts a proxy that is closed when the test ends. */
export async function tcpProxy(t: TestContext, target: ProxyTarget | string): Promise<TcpProxy> {
  const proxy = await TcpProxy.start(typeof target === 'string' ? targetOf(new URL(target)) : target);
  t.after(() => proxy.close());
  return proxy;
}
