/**
 * Every page in flight holds a permit, from its request until its COPY; they are bounded in number and in bytes. When
 * PostgreSQL is slow, permits are released late, and requests slow down; memory does not grow.
 */

/** The right to have one page in flight. Released once; further calls of `release` do nothing. */
export interface Permit {
  /** Replaces the estimate by what the page takes. May exceed the cap, as the page is already here. */
  resize(bytes: number): void;
  release(): void;
}

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

export class InFlightLimit {
  readonly maxPages: number;
  readonly maxBytes: number;
  #pages = 0;
  #bytes = 0;
  /** First come, first served, so that no window starves. Bounded by the number of walks: each waits for one page. */
  readonly #waiters: Waiter[] = [];

  constructor(maxPages: number, maxBytes: number) {
    this.maxPages = maxPages;
    this.maxBytes = maxBytes;
  }

  get pages(): number {
    return this.#pages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Waits for a permit for a page of about `bytes`. An estimate above the cap is granted when nothing else is in flight, so
   * that it cannot wait for ever.
   * @throws the signal's reason
   */
  async acquire(bytes: number, signal: AbortSignal): Promise<Permit> {
    signal.throwIfAborted();
    const wanted = Math.min(bytes, this.maxBytes);
    if (this.#waiters.length > 0 || !this.#fits(wanted)) await this.#queue(wanted, signal);
    else this.#take(wanted);
    return this.#grant(wanted);
  }

  #queue(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        const index = this.#waiters.indexOf(waiter);
        if (index !== -1) this.#waiters.splice(index, 1);
        reject(signal.reason as Error);
        // Whoever waited behind may fit now.
        this.#grantWaiting();
      };
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal.removeEventListener('abort', abort);
          this.#take(bytes);
          resolve();
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  #grant(initialBytes: number): Permit {
    let held = initialBytes;
    let released = false;
    return {
      resize: (bytes) => {
        if (released) return;
        this.#bytes += bytes - held;
        held = bytes;
        this.#grantWaiting();
      },
      release: () => {
        if (released) return;
        released = true;
        this.#pages -= 1;
        this.#bytes -= held;
        this.#grantWaiting();
      },
    };
  }

  #fits(bytes: number): boolean {
    return this.#pages < this.maxPages && (this.#pages === 0 || this.#bytes + bytes <= this.maxBytes);
  }

  #take(bytes: number): void {
    this.#pages += 1;
    this.#bytes += bytes;
  }

  #grantWaiting(): void {
    for (let next = this.#waiters[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiters[0]) {
      this.#waiters.shift();
      next.grant();
    }
  }
}
