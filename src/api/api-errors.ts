/** Why the API client ends the job, in words for the person who reads it at night. */
import {
  ConfigurationError,
  GaveUpError,
  KeyRefusedError,
  UnreachableError,
  type ErrorLocation,
  type JobError,
} from '../core/errors.ts';
import { isoText } from '../core/iso-text.ts';
import type { TransportFailure } from './transport-error.ts';
import type { GiveUpReason } from './page-attempts.ts';
import type { PageFailure } from './page-outcome.ts';
import { NO_WINDOW, type PageRequest } from './page-request.ts';
import type { PageWire } from './page-wire.ts';
import { StreamUnavailableError } from './stream-access.ts';

/** How final messages end, except where the settings are wrong. */
export const SAFE = 'What was loaded is safe: start again to go on.';

/** How messages about the key end: with the same one a new start ends alike. */
const SAFE_BUT_FOR_KEY = 'What was loaded is safe: a start with a key that is taken goes on.';

/** However it was asked for. */
const NEVER_A_PAGE =
  'It was asked for in every way that may help, so a new start will not help before the API serves it in another way. What ' +
  'was loaded is safe.';

/** What was asked: path, window, page, age of the cursor. */
export function describeRequest(request: PageRequest, path: string | null): string {
  const age = cursorAgeMs(request);
  const cursor = age === null ? 'without a cursor' : `with a cursor ${Math.round(age / 1000)} s old`;
  const { windowId, page, untilMs } = request;
  const newest = untilMs === null ? 'the newest page' : `the newest page up to ${isoText(untilMs)}`;
  const what = windowId === NO_WINDOW ? newest : `page ${page} of window ${windowId}`;
  return `${what}${path === null ? '' : ` (GET ${path})`}, ${cursor}`;
}

/** Since its response arrived; `null` when no cursor is sent. */
export function cursorAgeMs({ cursor, cursorReceivedAtMs }: PageRequest): number | null {
  return cursor === null ? null : Math.max(0, Date.now() - (cursorReceivedAtMs ?? Date.now()));
}

/** @param attempts requests sent for this page */
export function locate(request: PageRequest, failure: PageFailure, attempts: number): ErrorLocation {
  const age = cursorAgeMs(request);
  const { path, status, requestId } = failure;
  return {
    windowId: request.windowId,
    page: request.page,
    attempts,
    ...(path === null ? {} : { path }),
    ...(age === null ? {} : { cursorAgeMs: age }),
    ...(status === null ? {} : { status }),
    ...(requestId === null ? {} : { requestId }),
  };
}

/**
 * The error of a page that will not come.
 * @param attempts requests sent for it
 * @param waited how long no page at all has come, and how long that may take
 */
export function giveUpError(
  why: GiveUpReason,
  request: PageRequest,
  failure: PageFailure,
  attempts: number,
  waited: { readonly forMs: number; readonly allowedMs: number },
  advice: PageWire['advice'],
): JobError | StreamUnavailableError {
  const { outcome, isBroken = false } = failure;
  const cameBack = failure.cameBack.replace(/\.$/, '');
  const location = locate(request, failure, attempts);
  const asked = describeRequest(request, failure.path);
  const times = attempts === 1 ? 'once' : `${attempts} times`;
  const text = `${asked}, was asked for ${times} and not served. Last answer: ${cameBack}.`;
  const hint = outcome.kind === 'failure' ? reachHint(outcome.failure, advice) : advice.address;
  switch (why) {
    case 'stream-broken':
      return new StreamUnavailableError(`it does not serve (${cameBack})`);
    case 'key-refused':
      return new KeyRefusedError(
        `The API refuses the key: ${asked}, was asked for ${times}: ${cameBack}. ${advice.key} ${SAFE_BUT_FOR_KEY}`,
        { location },
      );
    case 'unreachable':
      return new UnreachableError(`The API cannot be reached: ${text} ${hint}`, { location });
    case 'wrong-settings':
      return new ConfigurationError(`The API does not serve pages here: ${text} ${hint}`, { location });
    case 'not-served':
      return new GaveUpError(`Gave up: ${text} ${isBroken ? NEVER_A_PAGE : SAFE}`, { location });
    case 'no-page': {
      const allowed = `the ${Math.round(waited.allowedMs / 1000)} s that --max-wait allows`;
      const since =
        waited.forMs > waited.allowedMs
          ? `longer than ${allowed}`
          : `${(waited.forMs / 1000).toFixed(1)} s, and the next try would come after ${allowed}`;
      return new GaveUpError(
        `Gave up: no page came for ${since}. Asked for: ${asked}, ${times}. Last answer: ${cameBack}. ${SAFE}`,
        { location },
      );
    }
  }
}

/** Of a page that was to be asked for once, and was not served. */
export function notNowError(request: PageRequest, failure: PageFailure): GaveUpError {
  const { path, cameBack } = failure;
  return new GaveUpError(`${describeRequest(request, path)}, was not served: ${cameBack}`, {
    location: locate(request, failure, 1),
  });
}

/** What to do about an API that was never reached. */
export function reachHint(failure: TransportFailure, advice: Pick<PageWire['advice'], 'address'>): string {
  return failure === 'untrusted'
    ? 'Nothing was changed. Its certificate is not accepted: if it is signed by your own authority, name that in NODE_EXTRA_CA_CERTS.'
    : `Nothing was changed. ${advice.address} Then the network, and HTTP_PROXY / HTTPS_PROXY / NO_PROXY.`;
}
