/**
 * People with the live page open. Every frame is made once and written to all; a viewer whose socket still holds the
 * frame before gets none, and one that has read nothing for long is let go. Nobody is ever waited for.
 */
import type { ServerResponse } from 'node:http';

/** Each is a socket and at most one frame in memory. */
export const MAX_VIEWERS = 200;
const READS_NOTHING_AFTER_MS = 60_000;

interface Viewer {
  readonly response: ServerResponse;
  /** Since when its socket has been full, epoch ms; `null` while it reads. */
  fullSinceMs: number | null;
}

export class Viewers {
  readonly #viewers = new Set<Viewer>();

  get count(): number {
    return this.#viewers.size;
  }

  /** Turns the response into a stream of server-sent events, its first frame written; false when there are too many. */
  add(response: ServerResponse, firstFrame: string): boolean {
    if (this.#viewers.size >= MAX_VIEWERS) return false;
    const viewer: Viewer = { response, fullSinceMs: null };
    this.#viewers.add(viewer);
    response.on('close', () => {
      this.#viewers.delete(viewer);
    });
    // A socket that dies while being written to is a viewer who left.
    response.on('error', () => {
      this.#viewers.delete(viewer);
    });
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`retry: 1000\n\n${firstFrame}`);
    return true;
  }

  send(text: string, nowMs: number): void {
    // One copy in memory, however many sockets it waits in.
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
