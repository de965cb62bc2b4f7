/** Identical requests within the cache's lifetime get the same answer, with the same cursor, and cost no budget. */
import type { Answer } from './answer.ts';
import type { FaultKind } from '../faults/fault-kinds.ts';
import type { MadePage } from './pages.ts';

/** A page and the fault it was made with. */
export interface CachedPage extends MadePage {
  readonly fault: FaultKind | null;
}

interface Cached {
  readonly page: CachedPage;
  readonly expiresAtMs: number;
}

const MAX_ANSWERS = 1_000;

export class ResponseCache {
  private readonly answers = new Map<string, Cached>();

  get(key: string): CachedPage | null {
    const cached = this.answers.get(key);
    if (cached === undefined) return null;
    const leftMs = cached.expiresAtMs - Date.now();
    if (leftMs <= 0) {
      this.answers.delete(key);
      return null;
    }
    const headers = {
      ...cached.page.answer.headers,
      'X-Cache': 'HIT',
      'X-Cache-TTL': String(Math.ceil(leftMs / 1000)),
    };
    return { ...cached.page, answer: { ...cached.page.answer, headers } };
  }

  /** Keeps the page. @returns the first answer, which says MISS */
  put(key: string, page: CachedPage, ttlMs: number): Answer {
    const [oldest] = this.answers.keys();
    if (this.answers.size >= MAX_ANSWERS && oldest !== undefined) this.answers.delete(oldest);
    this.answers.set(key, { page, expiresAtMs: Date.now() + ttlMs });
    return { ...page.answer, headers: { ...page.answer.headers, 'X-Cache': 'MISS' } };
  }
}
