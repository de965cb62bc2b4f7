/**
 * Buffers of pages and of their rows, used again and again. Without it each page leaves 3 MB to the garbage collector,
 * which counts bytes outside of its heap and so collects everything, every sixth page, on the thread that paces requests.
 *
 *   answer's body ──▶ worker ──▶ back with the rows ──▶ COPY committed ──▶ here ──▶ the next body, the next rows
 *
 * A buffer is given back only when nobody reads it any more: after its COPY was acknowledged. Whoever loses one (a page
 * that was none, a worker that died) leaves it to the collector, and nothing is wrong.
 */

/** Smaller ones cost the collector little, and would be handed out to nobody. */
const MIN_BYTES = 64 * 1024;
/** Larger ones are rare; keeping them would cost more than making them. */
const MAX_BYTES = 8 * 2 ** 20;
/** New ones are a multiple of this, so that pages of about one size fit each other's. */
const STEP_BYTES = 128 * 1024;
/** Kept idle, all together: about the pages in flight at the default concurrency. */
const MAX_IDLE_BYTES = 32 * 2 ** 20;

export class PageBuffers {
  readonly #maxIdleBytes: number;
  /** Ascending by size. Bounded by `maxIdleBytes`, so a search is short. */
  readonly #idle: ArrayBuffer[] = [];
  #idleBytes = 0;

  constructor(maxIdleBytes = MAX_IDLE_BYTES) {
    this.#maxIdleBytes = maxIdleBytes;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `bytes`, with whatever an earlier page left in it; the caller's own, and transferable. */
  take(bytes: number): ArrayBuffer {
    return this.takeIdle(bytes) ?? new ArrayBuffer(isKept(bytes) ? roundedUp(bytes) : bytes);
  }

  /** As {@link take}, but `null` when there is none: for a buffer that another thread would rather make itself. */
  takeIdle(bytes: number): ArrayBuffer | null {
    if (!isKept(bytes)) return null;
    const index = this.#idle.findIndex((buffer) => buffer.byteLength >= bytes);
    const [found] = index === -1 ? [] : this.#idle.splice(index, 1);
    if (found === undefined) return null;
    this.#idleBytes -= found.byteLength;
    return found;
  }

  /** The buffer is not read by anybody any more, nor written. A detached one is ignored. */
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
