/**
 * Buffers of pages and of their rows, used again and again. Otherwise each page would leave 3 MB to the garbage
 * collector. It counts bytes outside of its heap, so every sixth page it would collect everything, on the thread that
 * paces requests.
 *
 *   answer's body ──▶ worker ──▶ back with the rows ──▶ COPY committed ──▶ here ──▶ the next body, the next rows
 *
 * A buffer may be given back only after its COPY was acknowledged: nobody reads it any more. A buffer that is lost with a
 * faulty page or a dead worker is left to the collector.
 */

/** Smaller buffers cost the collector little. */
const MIN_BYTES = 64 * 1024;
/** Larger buffers are rare; keeping them would cost more than making them. */
const MAX_BYTES = 8 * 2 ** 20;
/** New buffers are a multiple of this, so that pages of about the same size can share them. */
const STEP_BYTES = 128 * 1024;
/** Bytes kept idle in all: about the pages in flight at the default concurrency. */
const MAX_IDLE_BYTES = 32 * 2 ** 20;

export class PageBuffers {
  readonly #maxIdleBytes: number;
  /** Ascending by size. `maxIdleBytes` bounds it, so a search is short. */
  readonly #idle: ArrayBuffer[] = [];
  #idleBytes = 0;

  constructor(maxIdleBytes = MAX_IDLE_BYTES) {
    this.#maxIdleBytes = maxIdleBytes;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `bytes`, which still holds bytes of an earlier page. The caller owns it and may transfer it. */
  take(bytes: number): ArrayBuffer {
    return this.takeIdle(bytes) ?? new ArrayBuffer(isKept(bytes) ? roundedUp(bytes) : bytes);
  }

  /** As {@link take}, but `null` if none is idle: another thread will then make its own. */
  takeIdle(bytes: number): ArrayBuffer | null {
    if (!isKept(bytes)) return null;
    const index = this.#idle.findIndex((buffer) => buffer.byteLength >= bytes);
    const [found] = index === -1 ? [] : this.#idle.splice(index, 1);
    if (found === undefined) return null;
    this.#idleBytes -= found.byteLength;
    return found;
  }

  /** Nobody may read or write the buffer any more. A detached one is ignored. */
  give(buffer: ArrayBuffer): void {
    const { byteLength } = buffer;
    if (!isKept(byteLength) || this.#idleBytes + byteLength > this.#maxIdleBytes) return;
    const index = this.#idle.findIndex((other) => other.byteLength >= byteLength);
    this.#idle.splice(index === -1 ? this.#idle.length : index, 0, buffer);
    this.#idleBytes += byteLength;
  }
}

function isKept(bytes: number): boolean {
  return bytes >= MIN_BYTES && bytes <= MAX_BYTES;
}

function roundedUp(bytes: number): number {
  return Math.ceil(bytes / STEP_BYTES) * STEP_BYTES;
}
