/**
 * Windows that cannot be walked while the stream endpoint is away. They are put aside as they stand in `ingestion.state`, one
 * chain over `/events` is walked meanwhile, and when the stream endpoint serves again they go on where they were: as if the
 * job had been stopped at that moment. What the chain has brought stays in the target and counts for nothing. Only this
 * process knows of them: a start that finds the chain goes on with the chain.
 */
import type { ApiClient } from '../../api/api-client.ts';
import type { Logger } from '../../core/logging.ts';
import type { Run } from '../../core/state.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import type { PassProgress } from './pass-progress.ts';

interface Parked {
  readonly rows: string;
  /** What is newer has come since, and is a window of its own; epoch ms. */
  readonly newestMs: number;
  readonly fetchedOfPass: number;
  readonly isFull: boolean;
}

export interface ParkingParts {
  readonly client: Pick<ApiClient, 'endpoint' | 'streamBack'>;
  readonly store: StateStore;
  readonly progress: PassProgress;
  readonly logger: Logger;
}

export class ParkedWindows {
  readonly #parts: ParkingParts;
  readonly #run: Pick<Run, 'runId' | 'untilMs'>;
  #parked: Parked | null = null;

  constructor(parts: ParkingParts, run: Pick<Run, 'runId' | 'untilMs'>) {
    this.#parts = parts;
    this.#run = run;
  }

  /** Ends the walk that was only begun because the windows were parked; `null` when there are none. */
  get end(): AbortSignal | null {
    return this.#parked === null ? null : this.#parts.client.streamBack;
  }

  /** @param newestMs the newest time that the run has seen; `null`: it has seen none, and nothing is worth being kept */
  async park(newestMs: number | null): Promise<void> {
    const { client, store, progress } = this.#parts;
    const isAway = client.endpoint === 'events' && client.streamBack !== null;
    if (this.#parked !== null || newestMs === null || !isAway) return;
    const rows = await store.copyWindows(this.#run.runId);
    this.#parked = { rows, newestMs, fetchedOfPass: progress.fetchedOfPass, isFull: progress.isFull };
  }

  /** @returns whether there were windows, and the stream endpoint serves again */
  async takeBack(): Promise<boolean> {
    const { client, store, progress, logger } = this.#parts;
    if (this.#parked === null || client.endpoint === 'events') return false;
    const { rows, newestMs, fetchedOfPass, isFull } = this.#parked;
    const { runId, untilMs } = this.#run;
    await store.restoreWindows(runId, rows);
    if (untilMs === null) await store.addCatchUp(runId, newestMs);
    progress.goOn(fetchedOfPass, isFull);
    this.#parked = null;
    logger.info({ run: runId }, 'the windows go on where they were');
    return true;
  }

  /** Everything was walked, or is walked anew. */
  forget(): void {
    this.#parked = null;
  }
}
