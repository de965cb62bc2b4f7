/** One request for a page, from waiting for a permit to the answer. It can be abandoned at any moment. */
import type { ApiClient, PageAnswer, PageRequest } from '../../api/api-client.ts';
import type { InFlightLimit, Permit } from '../../core/in-flight-limit.ts';

export interface Asked {
  readonly request: PageRequest;
  /** The receiver releases the permit. Rejects with GaveUpError, KeyRefusedError, the signal's reason. */
  readonly result: Promise<{ readonly answer: PageAnswer; readonly permit: Permit }>;
  /** Nobody wants the answer any more: ends the request and releases its permit. */
  readonly abandon: () => void;
}

/** @param expectedBytes what the page will probably take, body and rows */
export function askForPage(
  { client, inFlight }: { readonly client: ApiClient; readonly inFlight: InFlightLimit },
  bare: Omit<PageRequest, 'signal'>,
  expectedBytes: number,
  signal: AbortSignal,
): Asked {
  const superseded = new AbortController();
  const request: PageRequest = { ...bare, signal: AbortSignal.any([signal, superseded.signal]) };
  const fetch = async (): Promise<{ answer: PageAnswer; permit: Permit }> => {
    const permit = await inFlight.acquire(expectedBytes, request.signal);
    try {
      return { answer: await client.fetchPage(request), permit };
    } catch (error) {
      permit.release();
      throw error;
    }
  };
  const result = fetch();
  // Nobody may have begun to wait for it when it fails.
  result.catch(() => undefined);
  const abandon = (): void => {
    superseded.abort();
    result.then(
      ({ permit }) => {
        permit.release();
      },
      () => undefined,
    );
  };
  return { request, result, abandon };
}
