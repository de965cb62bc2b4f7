/** `/__sim/…`: counts, log and controls for tests and benchmarks in other processes. Never faulty, never rate-limited. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { DataSet } from '../data/data-set.ts';
import type { SimulatorSettings } from '../settings.ts';

/** `n` events: at `at` (epoch ms), or newer than all existing ones. */
const arrivalQuery = z.object({ n: z.coerce.number().int().min(1).default(1), at: z.coerce.number().optional() });
const IDS_CHUNK_CHARACTERS = 256 * 1024;

export interface ControlledSimulator {
  readonly data: DataSet;
  stats(): object;
  log(): readonly object[];
  apply(patch: Partial<SimulatorSettings>): void;
}

export async function handleControl(
  simulator: ControlledSimulator,
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
): Promise<void> {
  switch (`${req.method ?? ''} ${url.pathname}`) {
    case 'GET /__sim/stats':
      sendJson(res, 200, simulator.stats());
      return;
    case 'GET /__sim/log':
      sendJson(res, 200, simulator.log());
      return;
    case 'GET /__sim/ids':
      await sendIds(simulator.data, res);
      return;
    case 'POST /__sim/settings':
      await applyPatch(simulator, req, res);
      return;
    case 'POST /__sim/events': {
      const arrival = arrivalQuery.safeParse(Object.fromEntries(url.searchParams));
      if (!arrival.success) {
        sendJson(res, 400, { error: z.prettifyError(arrival.error) });
        return;
      }
      const { n, at } = arrival.data;
      simulator.data.addEvents(n, at === undefined ? {} : { atMs: at });
      sendJson(res, 200, simulator.data.counts());
      return;
    }
    default:
      sendJson(res, 404, { error: 'No such control' });
  }
}

async function applyPatch(simulator: ControlledSimulator, req: IncomingMessage, res: ServerResponse): Promise<void> {
  try {
    const patch = z.record(z.string(), z.unknown()).parse(JSON.parse(await text(req)));
    simulator.apply(patch);
    sendJson(res, 200, { applied: Object.keys(patch) });
  } catch (error) {
    sendJson(res, 400, { error: error instanceof z.ZodError ? z.prettifyError(error) : String(error) });
  }
}

function sendJson(res: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
}

/** Sends the distinct ids, one a line, in serving order. */
async function sendIds(data: DataSet, res: ServerResponse): Promise<void> {
  res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  let chunk = '';
  for (const id of data.distinctIds()) {
    chunk += `${id}\n`;
    if (chunk.length < IDS_CHUNK_CHARACTERS) continue;
    if (!res.write(chunk)) await once(res, 'drain');
    chunk = '';
  }
  res.end(chunk);
}
