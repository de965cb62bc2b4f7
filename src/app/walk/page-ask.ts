/** One request for a page, from waiting for a permit to the answer. It can be abandoned at any moment. */
import type { ApiClient, PageAnswer, PageRequest } from '../../api/api-client.ts';
import type { InFlightLimit, Permit } from '../../core/in-flight-limit.ts';
import type { FirstAnswer } from './first-answer.ts';

export interface Asked {
  readonly request: PageRequest;
  /** The receiver releases the permit. Rejects with GaveUpError, KeyRefusedError, the signal's reason. */
  readonly result: Promise<{ readonly answer: PageAnswer; readonly permit: Permit }>;
  /** Nobody wants the answer any more: ends the request and releases its permit. */
  readonly abandon: () => void;
}

interface AskParts {
  readonly client: ApiClient;
  readonly inFlight: InFlightLimit;
  /** What has come already. */
  readonly first?: FirstAnswer | undefined;
}

/** @param expectedBytes what the page will probably take, body and rows */
export function askForPage(
  { client, inFlight, first }: AskParts,
  bare: Omit<PageRequest, 'signal'>,
  expectedBytes: number,
  signal: AbortSignal,
): Asked {
  // Not AbortSignal.any(): a signal that lives as long as the run would keep a trace of every request.
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const request: PageRequest = { ...bare, signal: controller.signal };
  const fetch = async (): Promise<{ answer: PageAnswer; permit: Permit }> => {
    const permit = await inFlight.acquire(expectedBytes, request.signal);
    try {
      return { answer: first?.take(request) ?? (await client.fetchPage(request)), permit };
    } catch (error) {
      permit.release();
      throw error;
    }
  };
  const result = fetch().finally(() => {
    signal.removeEventListener('abort', abort);
  });
  // Nobody may have begun to wait for it when it fails.
  result.catch(() => undefined);
  const abandon = (): void => {
    controller.abort();
    result.then(
      ({ permit }) => {
        permit.release();
      },
      () => undefined,
    );
  };
  return { request, result, abandon };
}
