/** An HTTP gateway between a job and the simulator: it may answer requests itself, and change answers that it forwards. */
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { z } from 'zod';

export interface GatewayOptions {
  /** Sees every request first. @returns true when it has answered the request itself */
  readonly answers?: (req: IncomingMessage, res: ServerResponse) => boolean;
  /** May change the headers of an answer before it is forwarded. */
  readonly onAnswer?: (answer: IncomingMessage) => void;
}

/** @returns a base URL in place of `upstream` */
export async function gatewayTo(t: TestContext, upstream: string, options: GatewayOptions): Promise<string> {
  const server = createServer((req, res) => {
    if (options.answers?.(req, res) === true) return;
    const url = new URL(req.url ?? '/', upstream);
    const forwarded = request(url, { method: req.method, headers: { ...req.headers, host: url.host } }, (answer) => {
      options.onAnswer?.(answer);
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    req.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return `http://127.0.0.1:${port}${new URL(upstream).pathname}`;
}
