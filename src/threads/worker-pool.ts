import { Piscina } from 'piscina';

import type { EncodeResult, EncodeTask, PageTask, SampleResult, SampleTask } from '../../workers/protocol.ts';
import { WorkerDiedError } from '../core/errors.ts';

/**
 * Memory of one worker's JavaScript heap, MiB. Pages and rows are ArrayBuffers and lie outside of it; inside are the
 * program and what one page leaves behind. With a limit a worker dies alone, without one the whole process would.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 16 };

const ENCODE_PAGE_WORKER = new URL('../../workers/encode-page.ts', import.meta.url);

/**
 * Workers get tsx for ES modules alone. With `--import tsx`, which they would inherit, piscina's `require` of the worker succeeds: every module
 * becomes CommonJS, every imported name a call of a getter, and a page takes six times as long (48 ms, not 8; measured by `bench` on Node 20).
 */
const TSX_FOR_MODULES = `import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))}; register();`;
const WORKER_FLAGS = ['--import', `data:text/javascript,${encodeURIComponent(TSX_FOR_MODULES)}`];

type PagePiscina = Piscina<PageTask, EncodeResult | SampleResult>;

export interface WorkerPoolOptions {
  /** Worker threads, at least 1. They start at once, in the background. */
  readonly threads: number;
  /** Another program for the workers. */
  readonly worker?: URL;
}

/**
 * The pool of encoding threads, and the one home of piscina on this side of the thread boundary.
 *
 * A task's `body` is transferred: whatever becomes of the task, the caller's buffer is gone. When a worker dies with a
 * page, the promise is rejected with WorkerDiedError, and the page has to be asked for again. No promise stays pending:
 * also not when workers die before they are ready, after which piscina starts none any more; then this pool makes a new
 * one for the next task.
 *
 * There is no bound on the queue in here: the caller holds back, by the bytes that it has in flight.
 */
export class WorkerPool {
  readonly #threads: number;
  readonly #worker: URL;
  #piscina: PagePiscina;
  #isDestroyed = false;

  constructor(options: WorkerPoolOptions) {
    this.#threads = options.threads;
    this.#worker = options.worker ?? ENCODE_PAGE_WORKER;
    this.#piscina = this.#start();
  }

  /** Tasks that wait for a thread. */
  get queued(): number {
    return this.#piscina.queueSize;
  }

  /** Rejects with WorkerDiedError alone. */
  async encode(task: EncodeTask): Promise<EncodeResult> {
    const result = await this.#run(task);
    if (result.status === 'sampled') throw new WorkerDiedError('A worker sampled a page that it had to encode: a bug.');
    return result;
  }

  /** Rejects with WorkerDiedError alone. */
  async sample(task: SampleTask): Promise<SampleResult> {
    const result = await this.#run(task);
    if (result.status === 'encoded') throw new WorkerDiedError('A worker encoded a page that it had to sample: a bug.');
    return result;
  }

  /** Ends all threads. Tasks under way are rejected. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.#piscina.destroy();
  }

  async #run(task: PageTask): Promise<EncodeResult | SampleResult> {
    if (this.#isDestroyed) throw new WorkerDiedError('The worker pool is closed: no page can be encoded any more.');
    if (this.#piscina.threads.length === 0) this.#piscina = this.#start();
    const { bodyBytes, kind } = task;
    try {
      return await this.#piscina.run(task, { transferList: buffersOf(task) });
    } catch (cause) {
      const told = cause instanceof Error ? cause.message : String(cause);
      throw new WorkerDiedError(
        `A worker thread failed at a page of ${bodyBytes} bytes (${kind}): ${told}. ` +
          'Its rows are not staged and its bytes are gone: the page has to be asked for again.',
        { cause },
      );
    }
  }

  #start(): PagePiscina {
    const piscina = new Piscina<PageTask, EncodeResult | SampleResult>({
      // A URL, because a path with a space or a `#` in it is no module specifier.
      filename: this.#worker.href,
      minThreads: this.#threads,
      maxThreads: this.#threads,
      idleTimeout: Infinity,
      resourceLimits: RESOURCE_LIMITS,
      recordTiming: false,
      execArgv: WORKER_FLAGS,
    });
    // Nobody is left to run what waits, and piscina starts nobody after a failure during start-up: let the waiting ones
    // know.
    // Not when it is being destroyed anyway: a second `destroy` ends the first one's mode, and each thread that then ends is
    // replaced by a new one, which nobody ends any more.
    const abandonIfDead = (): void => {
      if (!this.#isDestroyed && piscina.threads.length === 0) void piscina.destroy();
    };
    // The event comes while the worker is still in the list; what piscina does about it comes before the microtask.
    piscina.on('workerDestroy', () => {
      queueMicrotask(abandonIfDead);
    });
    // Also: without a listener, an error outside of any task would end the process.
    piscina.on('error', abandonIfDead);
    return piscina;
  }
}

function buffersOf(task: PageTask): ArrayBuffer[] {
  return task.kind === 'encode' && task.spare !== undefined ? [task.body, task.spare] : [task.body];
}
