/** A plain client of the simulator, for tests of the simulator itself: it retries nothing and hides nothing. */
import { request, type IncomingHttpHeaders } from 'node:http';
import type { TestContext } from 'node:test';
import { z } from 'zod';
import { startSimulator, type Simulator, type StartOptions } from '../../src/simulator/simulator.ts';

export const KEY = 'test-key';

/** Starts a simulator that ends with its test. It has no rate limit unless the test sets one. */
export async function simulatorFor(t: TestContext, options: StartOptions): Promise<Simulator> {
  const simulator = await startSimulator({ eventsLimit: 0, ...options });
  t.after(() => simulator.close());
  return simulator;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** `null` when the body ended properly; else the error's code. */
  readonly error: string | null;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.message;

/** Sends one request over a connection of its own. A broken answer has an `error`, and status 0 when nothing came. */
export async function ask(origin: string, path: string, options: Ask = {}): Promise<Reply> {
  return await new Promise((resolve) => {
    const req = request(new URL(path, origin), {
      method: options.method ?? 'GET',
      agent: false,
      headers: { 'X-API-Key': KEY, ...options.headers },
    });
    req.on('error', (error) => {
      resolve({ status: 0, headers: {}, body: Buffer.alloc(0), error: codeOf(error) });
    });
    req.on('response', (res) => {
      const chunks: Buffer[] = [];
      const reply = (error: string | null): void => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks), error });
      };
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('error', (error) => {
        reply(codeOf(error));
      });
      res.on('end', () => {
        reply(null);
      });
    });
    req.end(options.body);
  });
}

const envelope = z.looseObject({ hasMore: z.unknown(), nextCursor: z.string().nullish() });
const livePage = z.looseObject({
  data: z.array(z.record(z.string(), z.unknown())),
  pagination: envelope,
  meta: z.looseObject({ total: z.number().optional(), returned: z.number() }),
});
export type LivePage = z.infer<typeof livePage>;

export function parsePage(reply: Reply): LivePage {
  return livePage.parse(JSON.parse(reply.body.toString('utf8')));
}

export function eventsPath(query: Record<string, string | number>): string {
  const text = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) text.set(key, String(value));
  return `/api/v1/events?${text.toString()}`;
}

/** Asks `/events` with this query. */
export function askEvents(simulator: Simulator, query: Record<string, string | number> = {}): Promise<Reply> {
  return ask(simulator.baseUrl, eventsPath(query));
}

const grant = z.object({
  streamAccess: z.object({ endpoint: z.string(), token: z.string(), expiresIn: z.number(), tokenHeader: z.string() }),
});

export const dashboardHeaders = { 'Content-Type': 'application/json', 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64)' };

/** Asks for stream access. @returns a function that asks the stream endpoint */
export async function openStream(origin: string): Promise<(query: Record<string, string | number>) => Promise<Reply>> {
  const reply = await ask(origin, '/internal/dashboard/stream-access', {
    method: 'POST',
    headers: dashboardHeaders,
    body: '{}',
  });
  const { streamAccess } = grant.parse(JSON.parse(reply.body.toString('utf8')));
  return (query) =>
    ask(origin, eventsPath(query).replace('/api/v1/events', streamAccess.endpoint), {
      headers: { [streamAccess.tokenHeader]: streamAccess.token },
    });
}

const MAX_PAGES = 10_000;

/** Walks a chain to its end. @returns its pages */
export async function walk(
  first: Record<string, string | number>,
  fetchPage: (query: Record<string, string | number>) => Promise<Reply>,
): Promise<LivePage[]> {
  const pages: LivePage[] = [];
  let query = first;
  for (let n = 0; n < MAX_PAGES; n += 1) {
    const page = parsePage(await fetchPage(query));
    pages.push(page);
    const { nextCursor } = page.pagination;
    if (nextCursor === null || nextCursor === undefined || nextCursor === '') return pages;
    query = { ...first, cursor: nextCursor };
  }
  throw new Error(`the chain did not end within ${MAX_PAGES} pages`);
}

export const eventsOf = (pages: readonly LivePage[]): Record<string, unknown>[] => pages.flatMap((page) => page.data);
