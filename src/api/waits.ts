/** Waits before something is tried again. All of them are here, so that people who watch can see why nothing moves. */
import { addAbortListener } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** Why nothing moves. The reason's words before a colon are one of a few, what follows says more. */
export interface Wait {
  readonly reason: string;
  /** Epoch ms, for people; `null` when nobody knows. */
  readonly untilMs: number | null;
  /** False for the growing pause after a failure. */
  readonly askedByApi: boolean;
}

export class Waits {
  readonly #waits = new Set<Wait>();

  /** The wait that ends first; `null` when there is none. */
  get first(): Wait | null {
    const [first] = [...this.#waits].sort((a, b) => (a.untilMs ?? Infinity) - (b.untilMs ?? Infinity));
    return first ?? null;
  }

  /** @throws the signal's reason */
  async wait(reason: string, waitMs: number, signal: AbortSignal, askedByApi = false): Promise<void> {
    const wait = { reason, untilMs: Date.now() + waitMs, askedByApi };
    this.#waits.add(wait);
    try {
      await sleep(waitMs, undefined, { signal });
    } catch (error) {
      // Node's AbortError says that something was aborted; the signal's reason says why.
      signal.throwIfAborted();
      throw error;
    } finally {
      this.#waits.delete(wait);
    }
  }
}

/** Waits for `work` until the signal is aborted; `work` itself goes on, for others who wait for it. @throws the reason */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const listener = addAbortListener(signal, () => {
      reject(signal.reason as Error);
    });
    void work.then(resolve, reject).finally(() => {
      listener[Symbol.dispose]();
    });
  });
}
