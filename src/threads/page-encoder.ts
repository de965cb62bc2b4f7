/**
 * Raw page → encoded page, through the worker pool. Decides the types of the id columns by the first page with rows
 * when the target is new and empty; everything else waits for that decision.
 */
import type { IdColumnType, IdColumnTypes, IdSample } from '../core/encoded-page.ts';
import type { EncodeResult, EncodeTask } from '../../workers/protocol.ts';
import { WorkerDiedError } from '../core/errors.ts';
import type { PageBuffers } from '../core/page-buffers.ts';
import { firstSourceOrder } from '../core/state.ts';
import type { WorkerPool } from './worker-pool.ts';
import { likelyRowsBytes, setAsideEvent } from '../encode/encode-page.ts';
import { decodeBody } from '../encode/page-body.ts';

export interface PageEncoderOptions {
  readonly pool: WorkerPool;
  /** Where the buffers of rows come from. */
  readonly buffers: PageBuffers;
  readonly maxEventBytes: number;
  /** Types of the target's id columns; `null` when the target is new and empty, and they are to be decided. */
  readonly idColumnTypes: IdColumnTypes | null;
  /** From `--id-type`: beats what the first page says. */
  readonly idType: 'auto' | IdColumnType;
  /** Makes the decision true in the database, before any row is copied. */
  readonly onDecided: (types: IdColumnTypes) => Promise<void>;
  readonly onEncoded?: ((seconds: number) => void) | undefined;
}

/** A page as it came; its buffer is transferred. */
export type PageBody = Pick<EncodeTask, 'body' | 'bodyBytes' | 'contentEncoding'>;

export class PageEncoder {
  readonly #options: PageEncoderOptions;
  #types: IdColumnTypes | null;
  #deciding: Promise<EncodeResult> | null = null;

  constructor(options: PageEncoderOptions) {
    this.#options = options;
    this.#types = options.idColumnTypes;
  }

  /**
   * The page's body is transferred: the caller's is gone, and comes back with the result.
   * @throws WorkerDiedError when a worker died with the page; what `onDecided` throws
   */
  async encode(windowId: number, page: number, raw: PageBody): Promise<EncodeResult> {
    const order = firstSourceOrder(windowId, page);
    while (this.#types === null) {
      if (this.#deciding === null) {
        this.#deciding = this.#encodeFirst(raw, order);
        try {
          return await this.#deciding;
        } finally {
          this.#deciding = null;
        }
      }
      // Somebody else's page decides. When it had no rows, or was none, ours has its turn.
      await this.#deciding.catch(() => undefined);
    }
    return this.#encode(raw, order, this.#types);
  }

  /**
   * The same for a page that asked for one event and has killed a worker: when it does so again while the workers take
   * another page, the event is rejected, with its bytes.
   * @throws WorkerDiedError also when the page turns out to have more events than one
   */
  async encodeSuspect(windowId: number, page: number, raw: PageBody): Promise<EncodeResult> {
    const kept = { ...raw, body: raw.body.slice(0, raw.bodyBytes) };
    try {
      return await this.encode(windowId, page, raw);
    } catch (error) {
      if (!(error instanceof WorkerDiedError)) throw error;
      // Workers that die of anything must not set aside one event after the other.
      await this.#options.pool.sample({ kind: 'sample', ...harmlessPage(), contentEncoding: 'identity' });
      const result = setAside(kept);
      if (result === null) throw error;
      return result;
    }
  }

  async #encodeFirst(raw: PageBody, order: bigint): Promise<EncodeResult> {
    const { pool, idType, onDecided } = this.#options;
    const { body, bodyBytes, contentEncoding } = raw;
    const sampled = await pool.sample({ kind: 'sample', body, bodyBytes, contentEncoding });
    if (sampled.status === 'faulty') return sampled;
    const types = {
      id: idType === 'auto' ? typeBySample(sampled.id) : idType,
      sessionId: typeBySample(sampled.sessionId),
      userId: typeBySample(sampled.userId),
    };
    const decompressed = { body: sampled.body, bodyBytes: sampled.bodyBytes, contentEncoding: 'identity' } as const;
    const result = await this.#encode(decompressed, order, types);
    if (result.status === 'encoded' && result.rowCount > 0) {
      await onDecided(types);
      this.#types = types;
    }
    return result;
  }

  async #encode(raw: PageBody, order: bigint, idColumnTypes: IdColumnTypes): Promise<EncodeResult> {
    const { pool, maxEventBytes, onEncoded } = this.#options;
    const { body, bodyBytes, contentEncoding } = raw;
    const spare = this.#options.buffers.takeIdle(likelyRowsBytes(bodyBytes));
    const result = await pool.encode({
      kind: 'encode',
      body,
      bodyBytes,
      contentEncoding,
      idColumnTypes,
      firstSourceOrder: order,
      maxEventBytes,
      ...(spare === null ? {} : { spare }),
    });
    if (result.status === 'encoded') onEncoded?.((result.decodeMs + result.encodeMs) / 1000);
    return result;
  }
}

function harmlessPage(): { body: ArrayBuffer; bodyBytes: number } {
  const { buffer, byteLength } = new TextEncoder().encode('{"data":[{"id":"e"}]}');
  return { body: buffer.slice(0, byteLength), bodyBytes: byteLength };
}

function setAside(raw: PageBody): EncodeResult | null {
  const decoded = decodeBody(raw.body, raw.bodyBytes, raw.contentEncoding);
  if (typeof decoded === 'string')
    return { status: 'faulty', fault: 'undecodable', detail: decoded, apiCode: null, ...raw };
  const page = setAsideEvent(new Uint8Array(decoded.body, 0, decoded.bodyBytes));
  if (page === null) return null;
  if ('fault' in page) return { status: 'faulty', ...page, ...decoded };
  return { ...page, ...decoded, decodeMs: 0, encodeMs: 0 };
}

/** uuid when most of the newest events' string values are UUIDs; a column without any string holds text. */
function typeBySample(sample: IdSample): IdColumnType {
  return sample.uuids * 2 > sample.strings ? 'uuid' : 'text';
}
