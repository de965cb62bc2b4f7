/** One request for a page, from waiting for a permit in flight to the answer; can be given up at any moment. */
import type { ApiClient, PageAnswer, PageRequest } from '../../api/api-client.ts';
import type { InFlightLimit, Permit } from '../../core/in-flight-limit.ts';

/** Why a request that was asked ahead was given up. */
class Superseded extends Error {}

export interface Asked {
  readonly request: PageRequest;
  /** The permit is the receiver's to release. Rejects with GaveUpError, KeyRefusedError, the signal's reason. */
  readonly result: Promise<{ readonly answer: PageAnswer; readonly permit: Permit }>;
  /** Nobody wants the answer any more: ends the request, releases its permit. */
  readonly abandon: () => void;
}

/** @param expectedBytes what the page will probably take, body and rows */
export function askForPage(
  { client, inFlight }: { readonly client: ApiClient; readonly inFlight: InFlightLimit },
  bare: Omit<PageRequest, 'signal'>,
  expectedBytes: number,
  outer: AbortSignal,
): Asked {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort(outer.reason);
  };
  outer.addEventListener('abort', abort, { once: true });
  if (outer.aborted) abort();
  const request: PageRequest = { ...bare, signal: controller.signal };
  const fetch = async (): Promise<{ answer: PageAnswer; permit: Permit }> => {
    const permit = await inFlight.acquire(expectedBytes, request.signal);
    try {
      return { answer: await client.fetchPage(request), permit };
    } catch (error) {
      permit.release();
      throw error;
    }
  };
  const result = fetch().finally(() => {
    outer.removeEventListener('abort', abort);
  });
  // Nobody may have begun to wait for it when it fails.
  result.catch(() => undefined);
  return {
    request,
    result,
    abandon: () => {
      controller.abort(new Superseded());
      result.then(
        ({ permit }) => {
          permit.release();
        },
        () => undefined,
      );
    },
  };
}
