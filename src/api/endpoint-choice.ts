/** Which endpoint pages come from: the stream where it can be used, `/events` while it cannot. */
import { KeyRefusedError } from '../core/errors.ts';
import type { ClientParts, EndpointName } from './page-request.ts';
import type { WirePage } from './page-wire.ts';
import { StreamUnavailableError } from './stream-access.ts';
import { StreamReturn } from './stream-return.ts';

export class EndpointChoice {
  readonly #parts: ClientParts;
  readonly #serves: (page: WirePage) => Promise<boolean>;
  readonly #return: StreamReturn;
  #current: EndpointName;
  #reason = '';
  #streamBack: AbortController | null = null;

  /** @param serves whether the stream endpoint answers what it is asked for with a page */
  constructor(parts: ClientParts, serves: (page: WirePage) => Promise<boolean>) {
    const { endpoint, streamLooks } = parts.options;
    this.#parts = parts;
    this.#serves = serves;
    this.#return = new StreamReturn(streamLooks, parts.closing);
    this.#current = endpoint === 'events' || !parts.wire.hasStream ? 'events' : 'stream';
  }

  get current(): EndpointName {
    return this.#current;
  }

  /** Why it is not the one that it was. */
  get reason(): string {
    return this.#reason;
  }

  /** Aborted when the stream endpoint serves again; `null` where it was not left. */
  get streamBack(): AbortSignal | null {
    return this.#streamBack?.signal ?? null;
  }

  /**
   * Falls back to `/events`, until the stream endpoint serves what it did not serve. Throws when that is not allowed, or when the
   * error is not about stream access.
   */
  leaveStreamOrThrow(error: unknown, notServed: WirePage): void {
    if (!(error instanceof StreamUnavailableError)) throw error;
    const { options, redactor } = this.#parts;
    const reason = `stream access cannot be used: ${redactor.redact(error.message)}`;
    if (options.endpoint === 'stream') {
      throw new KeyRefusedError(
        `--endpoint stream was asked for, but ${reason}. Use --endpoint auto, or check TARGET_API_KEY. What was loaded is safe.`,
      );
    }
    if (this.#current === 'events') return;
    this.#current = 'events';
    this.#reason = reason;
    options.logger.warn({ endpoint: 'events', reason }, 'the run goes on over /events');
    // It ends with the client.
    this.#returnWhenServed(notServed).catch(() => undefined);
  }

  async #returnWhenServed(notServed: WirePage): Promise<void> {
    const back = new AbortController();
    this.#streamBack = back;
    if (!(await this.#return.wait(() => this.#serves(notServed).catch(() => false)))) return;
    this.#current = 'stream';
    this.#reason = 'the stream endpoint serves again';
    this.#parts.options.logger.info(
      { endpoint: 'stream' },
      'the stream endpoint serves again; the run goes on over it',
    );
    back.abort();
  }
}
