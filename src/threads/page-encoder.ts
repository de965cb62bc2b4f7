/**
 * Raw page → encoded page, through the worker pool. When the target is new and empty, the first page with rows decides
 * the types of the id columns, and all other pages wait for that decision.
 */
import type { EncodeResult, EncodeTask } from '../../workers/protocol.ts';
import type { ColumnPlan } from '../core/column-plan.ts';
import { decodeBody } from '../core/body-decoding.ts';
import type {
  AskedFor,
  FaultyPage,
  IdColumnType,
  IdColumnTypes,
  IdSample,
  PageEnvelope,
  QuotedEnvelope,
  ReadingHints,
} from '../core/encoded-page.ts';
import { WorkerDiedError } from '../core/errors.ts';
import type { PageBuffers } from '../core/page-buffers.ts';
import type { PagePlace } from '../core/page-place.ts';
import { firstSourceOrder } from '../core/state.ts';
import { likelyRowsBytes, setAsideEvent } from '../encode/encode-page.ts';
import { compilePlan } from '../encode/plan/compiled-plan.ts';
import { DATASYNC_PLAN } from '../encode/plan/datasync-plan.ts';
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
  /** As the pool's workers have it. */
  readonly plan?: ColumnPlan;
  /** `--id-type`; overrides what the first page says. */
  readonly idType: 'auto' | IdColumnType;
  /** Changes the target's id columns, before any row is copied. */
  readonly onDecided: (types: IdColumnTypes) => Promise<void>;
  readonly onEncoded?: ((seconds: number) => void) | undefined;
  /** Reads what a page of a described source says of itself. */
  readonly readAnswer?: ReadAnswer | undefined;
}

/** What a page says of itself, or why it is none. */
export type ReadAnswer = (
  asked: AskedFor,
  quoted: QuotedEnvelope,
  records: number,
) => PageEnvelope | Pick<FaultyPage, 'fault' | 'detail'>;

/** A page as it came; its buffer is transferred. */
export type PageBody = Pick<EncodeTask, 'body' | 'bodyBytes' | 'contentEncoding'> & Partial<AskedFor>;

export interface PageToEncode extends PagePlace {
  /** Where the page before it ended, epoch ms; `null` when there is none. */
  readonly instantMs: number | null;
  /** See {@link EncodeTask.isKeyed}. */
  readonly isKeyed?: boolean;
  /** See {@link EncodeTask.hints}. */
  readonly hints?: ReadingHints;
}

type Where = Pick<EncodeTask, 'firstSourceOrder' | 'instantMs' | 'isKeyed' | 'hints'>;

/** As texts any page can be encoded, to see what its ids are. */
const UNDECIDED: IdColumnTypes = {};

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
    const { readAnswer } = this.#options;
    const { url, cursor = null, limit = Infinity, headers, hasNoContent = false } = raw;
    const isKeyed = how.isKeyed === true || (readAnswer !== undefined && cursor === null);
    const where = { firstSourceOrder: firstSourceOrder(windowId, page), ...how, isKeyed };
    const result = await this.#encodeDecided(where, raw);
    if (result.status !== 'encoded') return result;
    this.#options.onEncoded?.((result.decodeMs + result.encodeMs) / 1000);
    const { quoted, servedCount, body, bodyBytes, places, times } = result;
    if (quoted === null || readAnswer === undefined || url === undefined || headers === undefined) return result;
    const counted = isKeyed ? { ...quoted, ids: new Set(places.keys).size } : quoted;
    const said = readAnswer({ url, cursor, limit, headers, hasNoContent }, counted, servedCount);
    const keys = how.isKeyed === true || times === null ? places.keys : [];
    return 'fault' in said
      ? { status: 'faulty', ...said, apiCode: null, body, bodyBytes }
      : { ...result, places: { ...places, keys }, envelope: said };
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
      await this.#run({ firstSourceOrder: 0n, instantMs: null }, harmlessPage(), UNDECIDED);
      const result = setAside(kept, this.#options.plan);
      if (result === null) throw error;
      return result;
    }
  }

  async #encodeDecided(where: Where, raw: PageBody): Promise<EncodeResult> {
    while (this.#types === null) {
      if (this.#deciding === null) {
        this.#deciding = this.#encodeFirst(where, raw);
        try {
          return await this.#deciding;
        } finally {
          this.#deciding = null;
        }
      }
      // Another page is deciding. If it has no rows, or is no page, this one may decide.
      await this.#deciding.catch(() => undefined);
    }
    return this.#run(where, raw, this.#types);
  }

  async #encodeFirst(where: Where, raw: PageBody): Promise<EncodeResult> {
    const { buffers, idType, onDecided, emptyColumnTypes } = this.#options;
    const sampled = await this.#run(where, raw, UNDECIDED);
    if (sampled.status === 'faulty') return sampled;
    if (Object.keys(sampled.idSample).length === 0) {
      // The plan leaves nothing to decide.
      this.#types = sampled.idColumnTypes;
      return sampled;
    }
    const decided = Object.entries(sampled.idSample).map(([name, sample]): [string, IdColumnType] => {
      if (name === 'id' && idType !== 'auto') return [name, idType];
      return [name, emptyColumnTypes?.[name] === 'text' ? 'text' : typeBySample(sample)];
    });
    const types: IdColumnTypes = Object.fromEntries(decided);
    buffers.give(sampled.rows);
    const { body, bodyBytes } = sampled;
    const result = await this.#run(where, { body, bodyBytes, contentEncoding: 'identity' }, types);
    if (result.status === 'encoded' && result.rowCount > 0) {
      await onDecided(types);
      this.#types = types;
    }
    return result;
  }

  #run(where: Where, raw: PageBody, idColumnTypes: IdColumnTypes): Promise<EncodeResult> {
    const { pool, buffers, maxEventBytes } = this.#options;
    const { body, bodyBytes, contentEncoding } = raw;
    const spare = buffers.takeIdle(likelyRowsBytes(bodyBytes));
    const task = { body, bodyBytes, contentEncoding, idColumnTypes, maxEventBytes, ...where };
    return pool.run(spare === null ? task : { ...task, spare });
  }
}

function harmlessPage(): PageBody {
  const body = Uint8Array.from(Buffer.from('{"data":[{"id":"e"}]}')).buffer;
  return { body, bodyBytes: body.byteLength, contentEncoding: 'identity' };
}

function setAside(raw: PageBody, plan = DATASYNC_PLAN): EncodeResult | null {
  const decoded = decodeBody(raw.body, raw.bodyBytes, raw.contentEncoding);
  if ('fault' in decoded) return { status: 'faulty', ...decoded, apiCode: null, ...raw };
  const page = setAsideEvent(new Uint8Array(decoded.body, 0, decoded.bodyBytes), compilePlan(plan));
  if (page === null) return null;
  if ('fault' in page) return { status: 'faulty', ...page, ...decoded };
  return { ...page, ...decoded, decodeMs: 0, encodeMs: 0 };
}

/** uuid if most of the newest events' string values are UUIDs in their usual spelling, text if not, or if there is no string. */
function typeBySample(sample: IdSample): IdColumnType {
  return sample.uuids * 2 > sample.strings ? 'uuid' : 'text';
}
