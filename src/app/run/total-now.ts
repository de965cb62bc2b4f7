/** Asks the API for its count once more, without any bounds. */
import { newestEvents, type ApiClient } from '../../api/api-client.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';

/** Most walks ask for more, so that no cache answers; where one does, the next is asked for. */
const FEW_EVENTS = Array.from({ length: 20 }, (_, at) => at + 2);
/** One answer may be wrong. */
const ANSWERS = 2;

type Asker = Readonly<{ client: ApiClient; encoder: PageEncoder }>;

/**
 * Asked as a walk begins and for few events: the larger count of two.
 * @param walkLimit of a walk that would begin now
 * @returns `null` when an answer gives none, or all are as old as the API's cache. @throws what the client throws, the signal's reason
 */
export async function askTotalNow(asker: Asker, walkLimit: number, signal: AbortSignal): Promise<number | null> {
  const totals: number[] = [];
  for (const limit of [Math.max(walkLimit, 1), ...FEW_EVENTS]) {
    const total = await askTotal(asker, limit, signal);
    if (total === null) return null;
    if (total !== 'cached') totals.push(total);
    if (totals.length === ANSWERS) return Math.max(...totals);
  }
  return null;
}

async function askTotal(
  { client, encoder }: Asker,
  limit: number,
  signal: AbortSignal,
): Promise<number | 'cached' | null> {
  const request = newestEvents(1, limit, signal);
  const answer = await client.fetchPage(request);
  if (answer.kind !== 'page') return null;
  if (answer.page.fromCache) return 'cached';
  const { windowId, page } = request;
  const encoded = await encoder.encode({ windowId, page, instantMs: null }, answer.page);
  return encoded.status === 'encoded' ? encoded.envelope.total : null;
}
