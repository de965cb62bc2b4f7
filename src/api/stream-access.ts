/**
 * Access to the stream endpoint: its path, its token, and whether they still work. A token is renewed at 80 % of its
 * life, in the background, once for all requests. A refused token is dropped.
 */
import { z } from 'zod';

/** What a request to the stream endpoint needs. */
export interface StreamToken {
  readonly url: URL;
  readonly header: string;
  readonly token: string;
  readonly receivedMs: number;
  readonly lifeMs: number;
}

/** How an attempt to get access ended. */
export type AccessOutcome =
  | { readonly kind: 'granted'; readonly token: StreamToken }
  /** Absent, refused, or not usable: asking again will not change it. */
  | { readonly kind: 'denied'; readonly reason: string };

/** There is no stream access now; the message says why. */
export class StreamUnavailableError extends Error {
  override readonly name = 'StreamUnavailableError';
}

const RENEW_AT = 0.8;
const RENEWAL_PAUSE_MS = 10_000;
const USUAL_LIFE_S = 300;

const accessResponse = z.object({
  streamAccess: z.object({
    endpoint: z.string().min(1),
    // A header may hold visible ASCII only.
    token: z.string().regex(/^[\x21-\x7e]+$/),
    expiresIn: z.coerce.number().positive().catch(USUAL_LIFE_S),
    tokenHeader: z
      .string()
      .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/)
      .default('X-Stream-Token'),
  }),
});

/**
 * @param body the answer's body, parsed
 * @param origin the API's: the key is sent nowhere else
 * @param receivedMs when the answer came, ms of `performance.now()`
 */
export function readAccess(body: unknown, origin: string, receivedMs: number): AccessOutcome {
  const parsed = accessResponse.safeParse(body);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
    return { kind: 'denied', reason: `its answer could not be understood (${problems.join('; ')})` };
  }
  const { endpoint, token, expiresIn, tokenHeader } = parsed.data.streamAccess;
  const url = URL.canParse(endpoint, origin) ? new URL(endpoint, origin) : null;
  if (url?.origin !== origin) {
    return { kind: 'denied', reason: 'it names an endpoint outside the API, which must not get the key' };
  }
  url.hash = '';
  return {
    kind: 'granted',
    token: { url, header: tokenHeader.toLowerCase(), token, receivedMs, lifeMs: expiresIn * 1000 },
  };
}

export interface AccessAsk {
  /** A token was granted before. */
  readonly wasGranted: boolean;
  /** The first failure that would be waited out is thrown. */
  readonly isTriedOnce: boolean;
}

export interface StreamAccessOptions {
  /** One renewal, retries included. Throws only what ends the job, or the reason of an abort. */
  readonly request: (how: AccessAsk) => Promise<AccessOutcome>;
  /** A token was granted; its value is a secret. */
  readonly onToken: (token: string) => void;
  /** A renewal failed while the old token is still good: it is tried again. */
  readonly onRenewalFailed: (error: unknown) => void;
}

export class StreamAccess {
  readonly #options: StreamAccessOptions;
  /** Whether a token was ever granted: the API has taken the key. */
  wasGranted = false;
  #current: StreamToken | null = null;
  #renewal: Promise<StreamToken> | null = null;
  /** A failed renewal in the background is tried again after this moment, ms of `performance.now()`. */
  #notBeforeMs = 0;

  constructor(options: StreamAccessOptions) {
    this.#options = options;
  }

  /**
   * A token that is good as far as we know. Waits only when there is none.
   * @throws StreamUnavailableError when access is absent, refused or broken
   */
  async token(isTriedOnce = false): Promise<StreamToken> {
    const current = this.#current;
    if (current === null) return this.#renew(isTriedOnce);
    const age = (performance.now() - current.receivedMs) / current.lifeMs;
    if (age >= 1) {
      this.#current = null;
      return this.#renew(isTriedOnce);
    }
    if (age >= RENEW_AT && this.#renewal === null && performance.now() >= this.#notBeforeMs) {
      this.#renew(isTriedOnce).catch((error: unknown) => {
        this.#notBeforeMs = performance.now() + Math.min(RENEWAL_PAUSE_MS, current.lifeMs * (1 - RENEW_AT));
        this.#options.onRenewalFailed(error);
      });
    }
    return current;
  }

  /** A request with this token was refused: the next one gets another. Many requests may say so of one token. */
  drop(refused: StreamToken): void {
    if (this.#current === refused) this.#current = null;
  }

  async #renew(isTriedOnce: boolean): Promise<StreamToken> {
    // One renewal for all: a second caller waits for the first caller's.
    this.#renewal ??= this.#options
      .request({ wasGranted: this.wasGranted, isTriedOnce })
      .then((outcome) => {
        if (outcome.kind === 'denied') throw new StreamUnavailableError(outcome.reason);
        this.#options.onToken(outcome.token.token);
        this.wasGranted = true;
        this.#current = outcome.token;
        return outcome.token;
      })
      .finally(() => {
        this.#renewal = null;
      });
    return this.#renewal;
  }
}
