import { Piscina } from 'piscina';

import type { EncodeResult, EncodeTask, WorkerData } from '../../workers/protocol.ts';
import type { ColumnPlan } from '../core/column-plan.ts';
import { WorkerDiedError } from '../core/errors.ts';
import { PROJECT_FOLDER } from '../core/project.ts';
import { DATASYNC_PLAN } from '../encode/plan/datasync-plan.ts';
import { bundledWorker } from './bundled-worker.ts';

/**
 * Memory of one worker's JavaScript heap, MiB. Pages and rows are ArrayBuffers and lie outside of it; inside are the
 * program and what one page leaves behind. With a limit only the worker dies, without one the whole process would.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 16 };

const START_WORKER = new URL('workers/start.mjs', PROJECT_FOLDER);

type PagePiscina = Piscina<EncodeTask, EncodeResult>;

export interface WorkerPoolOptions {
  /** Worker threads, at least 1. They start at once, in the background. */
  readonly threads: number;
  /** How the records of pages become rows; each worker gets it once. DataSync's unless given. */
  readonly plan?: ColumnPlan | undefined;
  /** For tests: another program for the workers. */
  readonly worker?: URL;
}

/**
 * The pool of encoding threads, and the one home of piscina on this side of the thread boundary.
 *
 * A task's `body` is transferred: whatever becomes of the task, the caller's buffer is gone. No promise stays pending.
 * When workers die before they are ready, piscina starts no more; the next task then gets a new piscina.
 *
 * The queue has no bound of its own: the caller bounds the bytes in flight.
 */
export class WorkerPool {
  readonly #threads: number;
  readonly #plan: ColumnPlan;
  readonly #worker: URL | undefined;
  #piscina: PagePiscina;
  #isDestroyed = false;

  constructor(options: WorkerPoolOptions) {
    this.#threads = options.threads;
    this.#plan = options.plan ?? DATASYNC_PLAN;
    this.#worker = options.worker;
    this.#piscina = this.#start();
  }

  /** Tasks that wait for a thread. */
  get queued(): number {
    return this.#piscina.queueSize;
  }

  /** Rejects with WorkerDiedError alone, after which the page must be asked for again. */
  async run(task: EncodeTask): Promise<EncodeResult> {
    if (this.#isDestroyed) throw new WorkerDiedError('The worker pool is closed: no page can be encoded any more.');
    if (this.#piscina.threads.length === 0) this.#piscina = this.#start();
    try {
      const { body, spare } = task;
      return await this.#piscina.run(task, { transferList: spare === undefined ? [body] : [body, spare] });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new WorkerDiedError(
        `A worker thread failed at a page of ${task.bodyBytes} bytes: ${reason}. ` +
          'Its rows are not staged and its bytes are gone: the page has to be asked for again.',
        { cause },
      );
    }
  }

  /** Ends all threads. Tasks under way are rejected. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.#piscina.destroy();
  }

  #start(): PagePiscina {
    const workerData: WorkerData = { program: bundledWorker(this.#worker), plan: this.#plan };
    const piscina = new Piscina<EncodeTask, EncodeResult>({
      // A URL, because a path with a space or a `#` in it is no module specifier.
      filename: START_WORKER.href,
      workerData,
      minThreads: this.#threads,
      maxThreads: this.#threads,
      idleTimeout: Infinity,
      resourceLimits: RESOURCE_LIMITS,
      recordTiming: false,
      // Not `--import tsx`: a bundle needs no translation.
      execArgv: [],
    });
    // After a failure during start-up piscina starts no thread, so nobody would run the waiting tasks: destroying it rejects
    // them. Never destroyed twice: after the second call piscina would replace each thread that the first one ends.
    const abandonIfDead = (): void => {
      if (!this.#isDestroyed && piscina.threads.length === 0) void piscina.destroy();
    };
    // The worker is still in the list when the event comes. Piscina's own handling is done before the microtask.
    piscina.on('workerDestroy', () => {
      queueMicrotask(abandonIfDead);
    });
    // Without a listener an error outside of any task would also end the process.
    piscina.on('error', abandonIfDead);
    return piscina;
  }
}
