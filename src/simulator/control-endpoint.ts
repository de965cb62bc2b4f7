/** `/__sim/…`: the simulator's own books and controls, for tests and benchmarks in other processes. Never faulty, never limited. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { DataSet } from './data-set.ts';
import type { SimulatorSettings } from './settings.ts';

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
    case 'POST /__sim/settings': {
      const patch = z.record(z.string(), z.unknown()).safeParse(JSON.parse(await text(req)));
      if (!patch.success) {
        sendJson(res, 400, { error: 'Send an object of settings' });
        return;
      }
      try {
        simulator.apply(patch.data);
        sendJson(res, 200, { applied: Object.keys(patch.data) });
      } catch (error) {
        sendJson(res, 400, { error: error instanceof Error ? error.message : String(error) });
      }
      return;
    }
    case 'POST /__sim/events': {
      const atMs = url.searchParams.get('at');
      simulator.data.addEvents(Number(url.searchParams.get('n') ?? 1), atMs === null ? {} : { atMs: Number(atMs) });
      sendJson(res, 200, simulator.data.counts());
      return;
    }
    default:
      sendJson(res, 404, { error: 'No such control' });
  }
}

function sendJson(res: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
}

/** Distinct ids, one a line, in serving order. */
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
