/**
 * Does a chain of pages still bring something new? Pure; remembers the newest pages only, which is enough: a chain that
 * runs in a circle of more pages than that brings what its windows' books find at the end.
 */
import type { EncodedPage } from '../../workers/protocol.ts';

const REMEMBERED_PAGES = 1_000;

export class ChainProgress {
  /** So many pages in a row without anything new end the walk. */
  static readonly MAX_VAIN_PAGES = 5;

  readonly #seen = new Set<string>();
  #vainPages = 0;

  /** In a row, up to now. */
  get vainPages(): number {
    return this.#vainPages;
  }

  /** Returns true when the page is one too many without news. */
  note(page: Pick<EncodedPage, 'servedCount' | 'firstEventId' | 'lastEventId'>): boolean {
    const key = `${page.servedCount} ${page.firstEventId ?? ''} ${page.lastEventId ?? ''}`;
    const isVain = page.servedCount === 0 || this.#seen.has(key);
    this.#vainPages = isVain ? this.#vainPages + 1 : 0;
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED_PAGES) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest);
        break;
      }
    }
    return this.#vainPages >= ChainProgress.MAX_VAIN_PAGES;
  }
}
