/** What tests of the API client share: a client that ends with its test, requests, a bare HTTP server, a log to search. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import {
  ApiClient,
  type ApiClientOptions,
  type PageAnswer,
  type PageRequest,
  type RawPage,
} from '../../../src/api/api-client.ts';
import { startSimulator, type Simulator, type StartOptions } from '../../../src/simulator/simulator.ts';

export const KEY = 'ds_secret_key_0123456789abcdef';
export const AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36';

/** Everything a client logged, as one text, and the retries it reported. */
export interface Traces {
  log: string;
  readonly retries: Record<string, number>;
}

export function clientFor(
  t: TestContext,
  baseUrl: string,
  options: Partial<ApiClientOptions> = {},
): { client: ApiClient; traces: Traces } {
  const traces: Traces = { log: '', retries: {} };
  const logger = pino({ level: 'trace' }, { write: (line: string) => (traces.log += line) });
  const client = new ApiClient({
    baseUrl,
    apiKey: KEY,
    userAgent: AGENT,
    endpoint: 'events',
    maxRps: null,
    maxWaitMs: 20_000,
    connectTimeoutMs: 2_000,
    pageTimeoutMs: 5_000,
    acceptCompression: false,
    maxPageBytes: 16_000_000,
    logger,
    backoff: { baseMs: 4, capMs: 100 },
    observe: {
      retry: (kind) => {
        traces.retries[kind] = (traces.retries[kind] ?? 0) + 1;
      },
    },
    ...options,
  });
  t.after(() => client.close());
  return { client, traces };
}

export async function simulatorFor(t: TestContext, options: StartOptions): Promise<Simulator> {
  const simulator = await startSimulator({ events: 1_000, eventsLimit: 0, key: KEY, ...options });
  t.after(() => simulator.close());
  return simulator;
}

/** A server that does exactly what the test says. */
export async function serverFor(
  t: TestContext,
  handle: (req: IncomingMessage, res: ServerResponse, nth: number) => void,
): Promise<{ baseUrl: string; origin: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((req, res) => {
    requests.push(req);
    req.resume();
    handle(req, res, requests.length);
  });
  const origin = `http://127.0.0.1:${await listen(t, server)}`;
  return { baseUrl: `${origin}/api/v1`, origin, requests };
}

/** Closes the server with its test. @returns its port */
export async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

export function pageRequest(changes: Partial<PageRequest> = {}): PageRequest {
  return {
    windowId: 1,
    page: 1,
    limit: 100,
    cursor: null,
    cursorReceivedAtMs: null,
    cursorLifeMs: null,
    sinceMs: null,
    untilMs: null,
    signal: new AbortController().signal,
    ...changes,
  };
}

/** The page of an answer; fails when it is something else. */
export function pageOf(answer: PageAnswer): RawPage {
  if (answer.kind !== 'page') throw new Error(`expected a page, got ${JSON.stringify(answer)}`);
  return answer.page;
}

export function textOf(page: RawPage): string {
  return Buffer.from(page.body, 0, page.bodyBytes).toString();
}

export const PAGE = JSON.stringify({ data: [{ id: 'a' }], hasMore: false, nextCursor: null });

export function sendJson(
  res: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}
