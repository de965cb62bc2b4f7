/** An API of a few lines on the loopback, for what a test has to say itself. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** It is closed, with its connections, when the test ends. @returns its origin */
export async function openSmallApi(
  t: Pick<TestContext, 'after'>,
  answer: (url: URL, response: ServerResponse, request: IncomingMessage) => void,
): Promise<string> {
  const server = createServer((request, response) => {
    answer(new URL(request.url ?? '', 'http://api'), response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
