/**
 * Raw page → encoded page, through the worker pool. When the target is new and empty, the first page with rows decides
 * the types of the id columns, and all other pages wait for that decision.
 */
import type { EncodeResult, EncodeTask } from '../../workers/protocol.ts';
import { decodeBody } from '../core/body-decoding.ts';
import type { IdColumnType, IdColumnTypes, IdSample, ReadingHints } from '../core/encoded-page.ts';
import { WorkerDiedError } from '../core/errors.ts';
import type { PageBuffers } from '../core/page-buffers.ts';
import type { PagePlace } from '../core/page-place.ts';
import { firstSourceOrder } from '../core/state.ts';
import { likelyRowsBytes, setAsideEvent } from '../encode/encode-page.ts';
import type { WorkerPool } from './worker-pool.ts';

interface PageEncoderOptions {
  readonly pool: WorkerPool;
  /** The rows' buffers are taken from here. */
  readonly buffers: PageBuffers;
  readonly maxEventBytes: number;
  /** Types of the target's id columns; `null` when the target is new and empty, and they are to be decided. */
  readonly idColumnTypes: IdColumnTypes | null;
  /** Types of an empty target's id columns, where somebody has made one: what is text there takes every id, and stays text. */
  readonly emptyColumnTypes?: IdColumnTypes | null;
  /** `--id-type`; overrides what the first page says. */
  readonly idType: 'auto' | IdColumnType;
  /** Changes the target's id columns, before any row is copied. */
  readonly onDecided: (types: IdColumnTypes) => Promise<void>;
  readonly onEncoded?: ((seconds: number) => void) | undefined;
}

/** A page as it came; its buffer is transferred. */
export type PageBody = Pick<EncodeTask, 'body' | 'bodyBytes' | 'contentEncoding'>;

export interface PageToEncode extends PagePlace {
  /** Where the page before it ended, epoch ms; `null` when there is none. */
  readonly instantMs: number | null;
  /** See {@link EncodeTask.isKeyed}. */
  readonly isKeyed?: boolean;
  /** See {@link EncodeTask.hints}. */
  readonly hints?: ReadingHints;
}

type Where = Pick<EncodeTask, 'firstSourceOrder' | 'instantMs' | 'isKeyed' | 'hints'>;

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
  async encode({ windowId, page, ...how }: PageToEncode, raw: PageBody): Promise<EncodeResult> {
    const where = { firstSourceOrder: firstSourceOrder(windowId, page), ...how };
    while (this.#types === null) {
      if (this.#deciding === null) {
        this.#deciding = this.#encodeFirst(raw, where);
        try {
          return await this.#deciding;
        } finally {
          this.#deciding = null;
        }
      }
      // Another page is deciding. If it has no rows, or is no page, this one may decide.
      await this.#deciding.catch(() => undefined);
    }
    return this.#encode(raw, where, this.#types);
  }

  /**
   * The same for a page of one event that has killed a worker: if it does so again, and the workers take another page,
   * the event is rejected, with its bytes.
   * @throws WorkerDiedError also when the page turns out to have more events than one
   */
  async encodeSuspect(page: PageToEncode, raw: PageBody): Promise<EncodeResult> {
    const kept = { ...raw, body: raw.body.slice(0, raw.bodyBytes) };
    try {
      return await this.encode(page, raw);
    } catch (error) {
      if (!(error instanceof WorkerDiedError)) throw error;
      // Throws if workers die of any page: then it is not the event's fault.
      await this.#options.pool.run({ kind: 'sample', ...harmlessPage() });
      const result = setAside(kept);
      if (result === null) throw error;
      return result;
    }
  }

  async #encodeFirst(raw: PageBody, where: Where): Promise<EncodeResult> {
    const { pool, idType, onDecided, emptyColumnTypes } = this.#options;
    const { body, bodyBytes, contentEncoding } = raw;
    const { hints } = where;
    const task = { kind: 'sample', body, bodyBytes, contentEncoding } as const;
    const sampled = await pool.run(hints === undefined ? task : { ...task, hints });
    if (sampled.status === 'faulty') return sampled;
    const typeOf = (column: keyof IdColumnTypes): IdColumnType =>
      emptyColumnTypes?.[column] === 'text' ? 'text' : typeBySample(sampled[column]);
    const types = {
      id: idType === 'auto' ? typeOf('id') : idType,
      sessionId: typeOf('sessionId'),
      userId: typeOf('userId'),
    };
    const decompressed = { body: sampled.body, bodyBytes: sampled.bodyBytes, contentEncoding: 'identity' } as const;
    const result = await this.#encode(decompressed, where, types);
    if (result.status === 'encoded' && result.rowCount > 0) {
      await onDecided(types);
      this.#types = types;
    }
    return result;
  }

  async #encode(raw: PageBody, where: Where, idColumnTypes: IdColumnTypes): Promise<EncodeResult> {
    const { pool, buffers, maxEventBytes, onEncoded } = this.#options;
    const { body, bodyBytes, contentEncoding } = raw;
    const spare = buffers.takeIdle(likelyRowsBytes(bodyBytes));
    const result = await pool.run({
      kind: 'encode',
      body,
      bodyBytes,
      contentEncoding,
      idColumnTypes,
      maxEventBytes,
      ...where,
      ...(spare === null ? {} : { spare }),
    });
    if (result.status === 'encoded') onEncoded?.((result.decodeMs + result.encodeMs) / 1000);
    return result;
  }
}

function harmlessPage(): PageBody {
  const body = Uint8Array.from(Buffer.from('{"data":[{"id":"e"}]}')).buffer;
  return { body, bodyBytes: body.byteLength, contentEncoding: 'identity' };
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

/** uuid if most of the newest events' string values are UUIDs in their usual spelling, text if not, or if there is no string. */
function typeBySample(sample: IdSample): IdColumnType {
  return sample.uuids * 2 > sample.strings ? 'uuid' : 'text';
}
