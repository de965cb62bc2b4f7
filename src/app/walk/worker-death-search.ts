/**
 * Encodes pages, and finds the one event of a page that kills every worker. It retries the page unchanged once, then asks
 * for ever smaller parts until the event stands alone. It tries that event once more; if a worker dies again, the encoder
 * rejects the event (threads/page-encoder.ts).
 */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage, UnclearEvents } from '../../core/encoded-page.ts';
import { WorkerDiedError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import type { PageBody, PageEncoder, PageToEncode } from '../../threads/page-encoder.ts';
import type { PageLimit } from './page-limit.ts';

const SHRINK_FACTOR = 4;

/** No page, or a page that its worker did not survive: it must be asked for again. */
export interface UnusablePage {
  readonly status: 'faulty';
  readonly fault: string;
  readonly detail: string;
  readonly unclear?: UnclearEvents;
  /** The page, decompressed, where it was read. */
  readonly body?: ArrayBuffer;
  readonly bodyBytes?: number;
}

export type HowToEncode = Omit<PageToEncode, 'windowId' | 'page'>;

export class WorkerDeathSearch {
  readonly #encoder: PageEncoder;
  readonly #limit: PageLimit;
  readonly #logger: Logger;
  #deaths = 0;
  /** The last worker died of a page of one event. */
  #killsAlone = false;

  constructor(encoder: PageEncoder, limit: PageLimit, logger: Logger) {
    this.#encoder = encoder;
    this.#limit = limit;
    this.#logger = logger;
  }

  /** The page's body is transferred. */
  async encode(
    { windowId, page, limit }: PageRequest,
    asked: HowToEncode,
    raw: PageBody,
  ): Promise<EncodedPage | UnusablePage> {
    const place = { windowId, page, ...asked };
    try {
      const isFound = this.#killsAlone && limit === 1;
      const encoded = isFound ? await this.#encoder.encodeSuspect(place, raw) : await this.#encoder.encode(place, raw);
      if (encoded.status === 'encoded') this.#survived();
      return encoded;
    } catch (error) {
      if (!(error instanceof WorkerDiedError)) throw error;
      this.#logger.error({ window: windowId, page, err: error.message }, 'a worker died');
      this.#deaths += 1;
      this.#killsAlone = limit === 1;
      if (this.#deaths > 1) this.#limit.shrink(SHRINK_FACTOR);
      return { status: 'faulty', fault: 'worker-died', detail: error.message };
    }
  }

  /** The page was encoded, or its only event set aside: full pages are asked for again. */
  #survived(): void {
    if (this.#killsAlone) this.#limit.restore();
    this.#deaths = 0;
    this.#killsAlone = false;
  }
}
