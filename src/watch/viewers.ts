/**
 * People with the live page open. Every frame is written to all of them, without waiting for anybody: a viewer whose
 * socket still holds an earlier frame gets none, and a viewer that has read nothing for a minute is disconnected.
 */
import type { ServerResponse } from 'node:http';

/** Each costs a socket and at most one frame in memory. */
export const MAX_VIEWERS = 200;
const READS_NOTHING_AFTER_MS = 60_000;

interface Viewer {
  readonly response: ServerResponse;
  /** When its socket became full, epoch ms; `null` while it reads. */
  fullSinceMs: number | null;
}

export class Viewers {
  readonly #viewers = new Set<Viewer>();

  get count(): number {
    return this.#viewers.size;
  }

  /** Makes the response a stream of server-sent events and writes its first frame; false when there are too many viewers. */
  add(response: ServerResponse, firstFrame: string): boolean {
    if (this.#viewers.size >= MAX_VIEWERS) return false;
    const viewer: Viewer = { response, fullSinceMs: null };
    this.#viewers.add(viewer);
    response.on('close', () => this.#viewers.delete(viewer));
    // A socket that dies while it is written to closes, too.
    response.on('error', () => undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`retry: 1000\n\n${firstFrame}`);
    return true;
  }

  send(text: string, nowMs: number): void {
    // One copy in memory, whatever the number of sockets that hold it.
    const frame = Buffer.from(text);
    for (const viewer of this.#viewers) {
      const { response } = viewer;
      if (response.writableLength === 0) {
        viewer.fullSinceMs = null;
        response.write(frame);
        continue;
      }
      viewer.fullSinceMs ??= nowMs;
      if (nowMs - viewer.fullSinceMs > READS_NOTHING_AFTER_MS) response.destroy();
    }
  }

  close(): void {
    for (const { response } of this.#viewers) response.destroy();
    this.#viewers.clear();
  }
}

/** One server-sent event. */
export function eventFrame(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
