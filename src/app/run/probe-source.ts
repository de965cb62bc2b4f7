/** A few requests that hold a description against its API: what was said, and what was seen. Nothing is stored. */
import {
  ApiClient,
  NO_CURSOR,
  clientOptions,
  newestEvents,
  type PageRequest,
  type RawPage,
} from '../../api/api-client.ts';
import { decodeBody } from '../../core/body-decoding.ts';
import type { Settings } from '../../core/config.ts';
import type { PageEnvelope, PagePlaces, PageTimes } from '../../core/encoded-page.ts';
import { GaveUpError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { encodePage } from '../../encode/encode-page.ts';
import { compilePlan } from '../../encode/plan/compiled-plan.ts';
import type { DescribedSource } from './described-source.ts';

/** Room for any page. */
const MAX_PAGE_BYTES = 64 * 2 ** 20;
const FEW = 2;
const MAX_REQUESTS = 6;

export interface Finding {
  /** The word of the description. */
  readonly word: string;
  readonly seen: string;
  /** False: it contradicts the description. `null`: it could not be seen. */
  readonly holds: boolean | null;
}

interface SeenPage {
  readonly records: number;
  readonly rejected: number;
  readonly times: PageTimes | null;
  readonly places: PagePlaces;
  readonly envelope: PageEnvelope;
}

/** At most {@link MAX_REQUESTS} requests, those that fail among them. @throws ConfigurationError, KeyRefusedError, GaveUpError as a run would */
export async function probeSource(
  described: DescribedSource,
  settings: Settings,
  logger: Logger,
): Promise<{ readonly findings: readonly Finding[]; readonly requests: number }> {
  const stop = new AbortController();
  const client = new ApiClient({
    ...clientOptions(settings),
    observe: {
      retry: () => {
        if (client.requests >= MAX_REQUESTS) stop.abort(tooFew(described));
      },
    },
    wire: described.wire(settings.userAgent),
    baseUrl: described.url.href,
    apiKey: '',
    acceptCompression: true,
    maxPageBytes: MAX_PAGE_BYTES,
    logger,
    secrets: described.secrets,
  });
  try {
    const findings = await new Probe(client, described, stop.signal).run(described.maxPage ?? settings.pageSize);
    return { findings, requests: client.requests };
  } finally {
    await client.close();
  }
}

class Probe {
  readonly #client: ApiClient;
  readonly #described: DescribedSource;
  readonly #readAnswer: ReturnType<DescribedSource['answerReader']>;
  readonly #findings: Finding[] = [];
  readonly #signal: AbortSignal;
  #asked = 0;

  constructor(client: ApiClient, described: DescribedSource, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.#described = described;
    this.#readAnswer = described.answerReader();
  }

  async run(limit: number): Promise<readonly Finding[]> {
    const first = await this.#ask({ limit });
    this.#see(
      'records',
      `${first.records} on the first page, ${first.rejected} of them cannot be loaded`,
      first.rejected === 0,
    );
    if (first.records === 0) return this.#findings;
    const { total } = first.envelope;
    if (this.#described.hasTotal) this.#see('total', total === null ? 'not there' : String(total), total !== null);
    await this.#probeNext(first, limit);
    if (this.#described.maxPage !== null) {
      const few = await this.#ask({ limit: FEW });
      this.#see('size', `${few.records} records where ${FEW} were asked for`, few.records <= FEW);
    }
    await this.#probeBounds(first, limit);
    await this.#probeFirst(first, limit);
    return this.#findings;
  }

  /** Counted from 1 where the API counts from 0, a list is loaded without its first page, and nothing shows it. */
  async #probeFirst(first: SeenPage, limit: number): Promise<void> {
    const { next } = this.#described.description;
    if (next.kind !== 'count' || next.first === 0 || this.#client.requests >= MAX_REQUESTS) return;
    const cursor = String(next.first - 1);
    const before = await this.#ask({ limit, cursor, patience: 'none' }).catch((error: unknown) => {
      if (error instanceof GaveUpError) return null;
      throw error;
    });
    const known = new Set(first.places.keys);
    const unknown = before?.places.keys.filter((key) => !known.has(key)).length ?? 0;
    const seen =
      unknown === 0 ? `nothing more at ${cursor}` : `${unknown} records at ${cursor} come before the first page`;
    this.#see('next.count.first', seen, unknown === 0);
  }

  async #probeNext(first: SeenPage, limit: number): Promise<void> {
    const { nextCursor } = first.envelope;
    if (nextCursor === null) {
      this.#see('next', 'the first page is the last, so the next one could not be asked for', null);
      this.#seeOrder([first]);
      return;
    }
    const second = await this.#ask({ limit, cursor: nextCursor });
    const before = new Set(first.places.keys);
    const again = second.places.keys.filter((key) => before.has(key)).length;
    const isOther = second.records > 0 && again < second.records;
    this.#see('next', `${second.records} records on the second page, ${again} of them from the first`, isOther);
    const keys = [...first.places.keys, ...second.places.keys.slice(again)];
    const doubled = keys.length - new Set(keys).size;
    this.#see('id', doubled === 0 ? `${keys.length} different ones` : `${doubled} came twice`, doubled === 0);
    this.#seeOrder([first, second]);
  }

  #seeOrder(pages: readonly SeenPage[]): void {
    const { order } = this.#described;
    if (order === 'none') return;
    const timesMs = pages.flatMap(({ places }) => [...places.timesMs]).filter((timeMs) => !Number.isNaN(timeMs));
    if (timesMs.length < 2) {
      this.#see('time', 'no two records have one', false);
      return;
    }
    const isOrdered = timesMs.every((timeMs, at) => (timesMs[at - 1] ?? timeMs) >= timeMs);
    this.#see('order', isOrdered ? order : `not ${order}: the list is read as one chain`, isOrdered);
  }

  async #probeBounds(first: SeenPage, limit: number): Promise<void> {
    const { bounds, widenedMs, list } = this.#described;
    // In walk time, as the pages are read.
    const words = list.isOldestFirst
      ? ({ top: 'since', bottom: 'until' } as const)
      : ({ top: 'until', bottom: 'since' } as const);
    const timesMs = [...first.places.timesMs]
      .filter((timeMs) => !Number.isNaN(timeMs))
      .sort((one, other) => one - other);
    const middleMs = timesMs[timesMs.length >> 1];
    if (middleMs === undefined || middleMs === timesMs[0]) return;
    if (bounds[words.top]) {
      const { times } = await this.#ask({ limit, untilMs: middleMs });
      this.#seeBound(words.top, times !== null && times.newestMs <= middleMs + widenedMs);
    }
    if (bounds[words.bottom]) {
      const { times } = await this.#ask({ limit, sinceMs: middleMs });
      this.#seeBound(words.bottom, times !== null && times.oldestMs >= middleMs - widenedMs);
    }
  }

  #seeBound(word: 'since' | 'until', holds: boolean): void {
    const side = word === 'since' ? 'below' : 'above';
    this.#see(`time.${word}`, holds ? `nothing ${side} it` : `records ${side} it came`, holds);
  }

  async #ask(
    asked: Partial<Pick<PageRequest, 'cursor' | 'sinceMs' | 'untilMs' | 'patience'>> & { readonly limit: number },
  ): Promise<SeenPage> {
    if (this.#client.requests >= MAX_REQUESTS) throw tooFew(this.#described);
    this.#asked += 1;
    const request = { ...newestEvents(this.#asked, asked.limit, this.#signal), ...NO_CURSOR, ...asked };
    const answer = await this.#client.fetchPage(request);
    if (answer.kind !== 'page')
      throw new GaveUpError(`The API of ${this.#described.name} gave no page: ${answer.kind}.`);
    return this.#read(answer.page);
  }

  #read(page: RawPage): SeenPage {
    const decoded = decodeBody(page.body, page.bodyBytes, page.contentEncoding);
    if ('fault' in decoded) throw new GaveUpError(`The answer cannot be read: ${decoded.detail}`);
    const encoded = encodePage(new Uint8Array(decoded.body, 0, decoded.bodyBytes), {
      plan: compilePlan(this.#described.plan),
      idColumnTypes: {},
      firstSourceOrder: 0n,
      maxEventBytes: MAX_PAGE_BYTES,
      isKeyed: true,
    });
    if ('fault' in encoded) throw new GaveUpError(`The answer is no page: ${encoded.detail}`);
    const { quoted, servedCount, rejectedCount, times, places } = encoded;
    const envelope = quoted === null ? encoded.envelope : this.#readAnswer(page, quoted, servedCount);
    if ('fault' in envelope) throw new GaveUpError(`The answer is not as the description says: ${envelope.detail}.`);
    return { records: servedCount, rejected: rejectedCount, times, places, envelope };
  }

  #see(word: string, seen: string, holds: boolean | null): void {
    this.#findings.push({ word, seen, holds });
  }
}

function tooFew({ name }: DescribedSource): GaveUpError {
  return new GaveUpError(
    `The API of ${name} failed too often: ${MAX_REQUESTS} requests were not enough to see all of it.`,
  );
}
