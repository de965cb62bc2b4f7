/** A page that was asked for before its walk began: a look has shown that something new is on it. */
import type { PageAnswer, PageRequest, RawPage } from '../../api/api-client.ts';

export class FirstAnswer {
  readonly #request: PageRequest;
  #page: RawPage | null;

  /** @param page its body is the caller's no more */
  constructor(request: PageRequest, page: RawPage) {
    this.#request = request;
    this.#page = page;
  }

  /** The page, once, for a request that would bring it; else `null`. */
  take({ page, cursor, sinceMs, untilMs, across }: PageRequest): PageAnswer | null {
    const isTop = page === 1 && cursor === null && untilMs === null && across === undefined;
    if (!isTop || sinceMs !== this.#request.sinceMs || this.#page === null) return null;
    const answer: PageAnswer = { kind: 'page', page: this.#page };
    this.#page = null;
    return answer;
  }
}
