/** Asks the API for its count once more, without any bounds. */
import { NO_CURSOR, type ApiClient } from '../../api/api-client.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';

/** Windows are named by number; this request belongs to none. */
const NO_WINDOW = 0;
/** Differs from every page that a walk asks for, so that no cache answers. */
const FEW_EVENTS = 2;

interface Asker {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
}

/**
 * Asked twice, as a walk begins and for few events, because one answer may be wrong: the larger count.
 * @param walkLimit of a walk that would begin now
 * @returns `null` when an answer gives none, or one as old as its cache. @throws what the client throws, the signal's reason
 */
export async function askTotalNow(asker: Asker, walkLimit: number, signal: AbortSignal): Promise<number | null> {
  const many = await askTotal(asker, Math.max(walkLimit, FEW_EVENTS + 1), signal);
  const few = await askTotal(asker, FEW_EVENTS, signal);
  return few === null || many === null ? null : Math.max(few, many);
}

async function askTotal({ client, encoder }: Asker, limit: number, signal: AbortSignal): Promise<number | null> {
  const answer = await client.fetchPage({
    windowId: NO_WINDOW,
    page: 1,
    limit,
    ...NO_CURSOR,
    sinceMs: null,
    untilMs: null,
    signal,
  });
  if (answer.kind !== 'page' || answer.page.fromCache) return null;
  const encoded = await encoder.encode({ windowId: NO_WINDOW, page: 1, instantMs: null }, answer.page);
  return encoded.status === 'encoded' ? encoded.envelope.total : null;
}
