/**
 * Raw page → encoded page, through the worker pool. Decides the types of the id columns by the first page that comes
 * when the target is new and empty; everything else waits for that decision.
 */
import type { EncodeResult, FaultyPage, IdColumnType, IdColumnTypes, IdSample, SampledPage } from '../../workers/protocol.ts';
import { firstSourceOrder } from '../core/state.ts';
import type { WorkerPool } from '../core/worker-pool.ts';
import type { RawPage } from './api-client.ts';

export interface PageEncoderOptions {
  readonly pool: WorkerPool;
  readonly maxEventBytes: number;
  /** Types of the target's id columns; `null` when the target is new and empty, and they are to be decided. */
  readonly idColumnTypes: IdColumnTypes | null;
  /** From `--id-type`: beats what the first page says. */
  readonly idType: 'auto' | IdColumnType;
  /** Makes the decision true in the database. */
  readonly onDecided: (types: IdColumnTypes) => Promise<void>;
  readonly onEncoded?: (seconds: number) => void;
}

type Decision = { readonly types: IdColumnTypes } | FaultyPage;

export class PageEncoder {
  readonly #options: PageEncoderOptions;
  #types: IdColumnTypes | null;
  #deciding: Promise<unknown> | null = null;

  constructor(options: PageEncoderOptions) {
    this.#options = options;
    this.#types = options.idColumnTypes;
  }

  /**
   * The page's body is transferred: the caller's is gone, and comes back with the result.
   * @throws WorkerDiedError when a worker died with the page
   */
  async encode(windowId: number, page: number, raw: RawPage): Promise<EncodeResult> {
    let { body, bodyBytes, contentEncoding } = raw;
    while (this.#types === null) {
      if (this.#deciding !== null) {
        // Somebody else's page decides. When that one was faulty, ours has its turn.
        await this.#deciding.catch(() => undefined);
        continue;
      }
      const sampling = this.#options.pool.sample({ kind: 'sample', body, bodyBytes, contentEncoding });
      const decision = sampling.then((sampled) => this.#decide(sampled));
      this.#deciding = decision;
      try {
        const decided = await decision;
        if ('status' in decided) return decided;
        const sampled = await sampling;
        ({ body, bodyBytes } = sampled);
        contentEncoding = 'identity';
      } finally {
        this.#deciding = null;
      }
    }
    const result = await this.#options.pool.encode({
      kind: 'encode',
      body,
      bodyBytes,
      contentEncoding,
      idColumnTypes: this.#types,
      firstSourceOrder: firstSourceOrder(windowId, page),
      maxEventBytes: this.#options.maxEventBytes,
    });
    if (result.status === 'encoded') this.#options.onEncoded?.((result.decodeMs + result.encodeMs) / 1000);
    return result;
  }

  async #decide(sampled: SampledPage | FaultyPage): Promise<Decision> {
    if (sampled.status === 'faulty') return sampled;
    const { idType } = this.#options;
    const types = {
      id: idType === 'auto' ? typeBySample(sampled.id) : idType,
      sessionId: typeBySample(sampled.sessionId),
      userId: typeBySample(sampled.userId),
    };
    // An empty page tells nothing: the next one decides, and this one has no rows to encode.
    const tells = sampled.id.strings + sampled.sessionId.strings + sampled.userId.strings > 0;
    await this.#options.onDecided(types);
    if (tells || idType !== 'auto') this.#types = types;
    else this.#types = types;
    return { types };
  }
}

/** uuid when most of the newest events' string values are UUIDs; a column without any string holds text. */
function typeBySample(sample: IdSample): IdColumnType {
  return sample.strings > 0 && sample.uuids * 2 > sample.strings ? 'uuid' : 'text';
}
