/** One request for a page, from waiting for a place in flight to the answer; can be given up at any moment. */
import type { ApiClient, PageAnswer, PageRequest } from '../../api/api-client.ts';
import type { FlightBudget, FlightPlace } from '../../core/in-flight-limit.ts';

/** Why a request that was asked ahead was given up. */
class AskedInVain extends Error {}

export interface Asked {
  readonly request: PageRequest;
  /** The place is the receiver's to release. Rejects with GaveUpError, KeyRefusedError, the signal's reason. */
  readonly result: Promise<{ readonly answer: PageAnswer; readonly place: FlightPlace }>;
  /** Nobody wants the answer any more: ends the request, releases its place. */
  readonly abandon: () => void;
}

/** @param expectedBytes what the page will probably take, body and rows */
export function askForPage(
  { client, budget }: { readonly client: ApiClient; readonly budget: FlightBudget },
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
  const fetch = async (): Promise<{ answer: PageAnswer; place: FlightPlace }> => {
    const place = await budget.acquire(expectedBytes, request.signal);
    try {
      return { answer: await client.fetchPage(request), place };
    } catch (error) {
      place.release();
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
      controller.abort(new AskedInVain());
      result.then(
        ({ place }) => {
          place.release();
        },
        () => undefined,
      );
    },
  };
}
