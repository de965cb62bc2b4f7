/**
 * What crosses the thread boundary. Types only: both sides import this file, and nothing else of each other.
 *
 *   main thread                                 worker
 *   EncodeTask  ── body (transferred) ────────▶ decompress, scan, check, convert
 *   EncodeResult ◀── rows + body (transferred) ─┘
 *
 * Errors cross as values: an Error thrown in a worker arrives without its class, code and fields.
 */
import type { ColumnPlan } from '../src/core/column-plan.ts';
import type {
  ContentEncoding,
  EncodedPage,
  FaultyPage,
  IdColumnTypes,
  ReadingHints,
} from '../src/core/encoded-page.ts';

/** What a worker gets when it starts. */
export interface WorkerData {
  /** The program, a `data:` URL of one module. */
  readonly program: string;
  readonly plan: ColumnPlan;
}

export interface EncodeTask {
  /** The raw page. Transferred: the sender's view is detached and must not be touched again. */
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  readonly contentEncoding: ContentEncoding;
  /** For a page that is not JSON as a whole. */
  readonly hints?: ReadingHints;
  readonly idColumnTypes: IdColumnTypes;
  /** `source_order` of the page's first event; event at position p gets `firstSourceOrder + p`. */
  readonly firstSourceOrder: bigint;
  /** Bytes; an event whose JSON text is longer is rejected. */
  readonly maxEventBytes: number;
  /** Where the page before this one ended, epoch ms; `null` when there is none. */
  readonly instantMs: number | null;
  /** Every event gets a key, because times do not tell the order. */
  readonly isKeyed?: boolean;
  /** Buffer for the rows, used if it is large enough. Transferred too; its content means nothing. */
  readonly spare?: ArrayBuffer;
}

export type EncodeResult = EncodedPage | FaultyPage;
