/**
 * Sends one request to an endpoint: waits for its turn and for a token, asks, and says to the pacer what came of it. Does
 * not judge answers and does not try again.
 */
import { setMaxListeners } from 'node:events';
import { isFromCache } from './cached-answer.ts';
import { MAX_ERROR_BYTES, readErrorBody } from './http-answer.ts';
import { mayHoldPage, type HttpAnswer } from './http-exchange.ts';
import { TransportError } from './transport-error.ts';
import { Pacer } from './pacer.ts';
import type { PacingResult } from './pacing-policy.ts';
import type { ClientParts, EndpointName, PageRequest } from './page-request.ts';
import type { PageWire, WirePage } from './page-wire.ts';
import { NOTHING_SAID, readRateLimit, type RateLimitNotice } from './rate-limit-headers.ts';
import { refusalOf } from './refusal.ts';
import { refusalInBody } from './refusal-in-body.ts';
import { isAboutPace } from './retry-policy.ts';
import type { StreamAccess, StreamToken } from './stream-access.ts';
import { abortable, type Wait } from './waits.ts';

/** One request and what came of it. */
export interface Sent {
  readonly url: URL;
  readonly outcome: HttpAnswer | TransportError;
  /** The token it was sent with; `null` on `/events`. */
  readonly token: StreamToken | null;
}

export interface SendRequest {
  readonly endpoint: EndpointName;
  readonly page: WirePage;
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly keepsEnds?: boolean | undefined;
  readonly patience?: PageRequest['patience'];
}

export class ApiSender {
  readonly #parts: ClientParts;
  readonly #access: StreamAccess;
  readonly #pacers: Readonly<Record<EndpointName, Pacer>>;
  #inFlight = 0;

  constructor(parts: ClientParts, access: StreamAccess) {
    this.#parts = parts;
    this.#access = access;
    const { maxWaitMs, observe } = parts.options;
    const caps = [parts.options.maxRps, parts.wire.maxRps].filter((cap) => cap !== null);
    const maxRps = caps.length === 0 ? null : Math.min(...caps);
    const createPacer = (name: string): Pacer =>
      new Pacer({ name, maxRps, maxWaitMs, observeWait: observe.rateLimitWait });
    this.#pacers = {
      stream: createPacer('the stream endpoint'),
      events: createPacer(parts.wire.url.pathname),
    };
  }

  /** Why nothing moves at the moment; `null` when requests are on their way. */
  waiting(endpoint: EndpointName): Wait | null {
    const { silence, waits } = this.#parts;
    if (silence.wait !== null) return silence.wait;
    return this.#inFlight > 0 ? null : (this.#pacers[endpoint].waiting ?? waits.first);
  }

  /** Stops all requests to an endpoint for a while: the API asked for it. */
  pause(endpoint: EndpointName, forMs: number): void {
    this.#pacers[endpoint].pause(forMs);
  }

  /**
   * @throws GaveUpError when the turn would come too late or the API stays away, ConfigurationError before it ever answered,
   *   StreamUnavailableError when there is no stream access, the signal's reason
   */
  async send(request: SendRequest): Promise<Sent> {
    const { endpoint, page, signal, deadlineMs, keepsEnds = false, patience } = request;
    const { options, closing, wire, http, silence } = this.#parts;
    closing.throwIfAborted();
    // One signal can end a whole run: every request under way listens to it.
    setMaxListeners(0, signal);
    const pacer = this.#pacers[endpoint];
    const tokenNow = async (): Promise<StreamToken | null> =>
      endpoint === 'stream' ? abortable(this.#access.token(patience === 'none'), signal) : null;
    // A renewal takes its time, and a pause that begins meanwhile counts: so it comes before the turn.
    await tokenNow();
    const ticket = await pacer.turn(signal);
    let usage = UNKNOWN_USAGE;
    try {
      const token = await tokenNow();
      const { url, ...asked } = wire.request(page, token, options.acceptCompression && !keepsEnds);
      const maxBytes = (status: number): number => (mayHoldPage(status) ? options.maxPageBytes : MAX_ERROR_BYTES);
      this.#inFlight += 1;
      const sent = { kind: endpoint, url, ...asked, deadlineMs, maxBytes, keepsEnds, signal };
      const outcome = await silence
        .during(url.pathname, () => http.exchange(sent))
        .finally(() => (this.#inFlight -= 1));
      usage = readUsage(outcome, wire.later);
      return { url, outcome, token };
    } finally {
      pacer.answered(ticket, usage.result, usage.notice);
    }
  }

  /** Nobody gets a turn any more. */
  close(): void {
    this.#pacers.stream.close();
    this.#pacers.events.close();
  }
}

/** What a request did to the rate limit's budget, and what the API said about it. */
interface Usage {
  readonly result: PacingResult;
  readonly notice: RateLimitNotice;
}

const UNKNOWN_USAGE: Usage = { result: 'failed', notice: NOTHING_SAID };

function readUsage(outcome: HttpAnswer | TransportError, later: PageWire['later']): Usage {
  if (outcome instanceof TransportError) {
    // The API had served, and counted, what was cut on its way.
    return outcome.failure === 'cut' ? { result: 'served', notice: NOTHING_SAID } : UNKNOWN_USAGE;
  }
  const { status, headers, receivedAtMs } = outcome;
  if (refusalInBody(outcome) !== null || (status >= 400 && isAboutPace(refusalOf(outcome, later)))) {
    return { result: 'refused', notice: readRateLimit(headers, receivedAtMs, readErrorBody(outcome).json) };
  }
  return { result: isFromCache(headers) ? 'cached' : 'served', notice: readRateLimit(headers, receivedAtMs) };
}
