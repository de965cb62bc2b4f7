/** Identical requests within a while get the very same answer, cursor and all, and cost no budget. */
import type { Answer } from './answer.ts';
import type { MadePage } from './pages.ts';

interface Cached {
  readonly page: MadePage;
  readonly expiresAtMs: number;
}

const MAX_ANSWERS = 1_000;

export class ResponseCache {
  private readonly answers = new Map<string, Cached>();

  get(key: string): MadePage | null {
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

  /** Keeps the page and returns its first answer, which says MISS. */
  put(key: string, page: MadePage, ttlMs: number): Answer {
    const [oldest] = this.answers.keys();
    if (this.answers.size >= MAX_ANSWERS && oldest !== undefined) this.answers.delete(oldest);
    this.answers.set(key, { page, expiresAtMs: Date.now() + ttlMs });
    return { ...page.answer, headers: { ...page.answer.headers, 'X-Cache': 'MISS' } };
  }
}
