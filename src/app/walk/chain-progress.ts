/**
 * Does a chain of pages still bring something new? Pure; remembers the newest pages only, which is enough: a chain that
 * runs in a circle of more pages than that brings what its windows' books find at the end.
 */
import type { EncodedPage } from '../../core/encoded-page.ts';

const REMEMBERED_PAGES = 1_000;
/** Pages in a row whose events have no ids by which they could be told from others. */
const MAX_NAMELESS_PAGES = 1_000;

type ServedPage = Pick<EncodedPage, 'servedCount' | 'firstEventId' | 'lastEventId'>;

export class ChainProgress {
  /** So many pages in a row without anything new end the walk. */
  static readonly MAX_VAIN_PAGES = 5;

  /** First event of a page → events served from there on; more from the same place are news. */
  readonly #served = new Map<string, number>();
  #noNewEvents = 0;
  #namelessPages = 0;

  /** Returns true when the page is one too many without news. */
  note(page: ServedPage): boolean {
    const name = page.firstEventId ?? page.lastEventId;
    if (page.servedCount > 0 && name === null) {
      this.#namelessPages += 1;
      return this.#namelessPages >= MAX_NAMELESS_PAGES;
    }
    this.#namelessPages = 0;
    const isVain = name === null || page.servedCount <= (this.#served.get(name) ?? 0);
    this.#noNewEvents = isVain ? this.#noNewEvents + 1 : 0;
    if (name !== null && !isVain) this.#remember(name, page.servedCount);
    return this.#noNewEvents >= ChainProgress.MAX_VAIN_PAGES;
  }

  #remember(name: string, servedCount: number): void {
    this.#served.set(name, servedCount);
    if (this.#served.size <= REMEMBERED_PAGES) return;
    const [oldest] = this.#served.keys();
    if (oldest !== undefined) this.#served.delete(oldest);
  }
}
