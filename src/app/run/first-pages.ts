/**
 * Whether a run brings nothing but rejections of one kind. Then it is not that many bad events, but a source that the program
 * does not understand, and going on would only spend the API's budget: seen on the first pages of all windows.
 */
import type { AcceptedPage } from '../../core/accepted-page.ts';

/** Fewer say nothing about all the others. */
const MIN_EVENTS = 100;

export type FirstPage = Pick<AcceptedPage, 'encoded' | 'ledger'>;

export class FirstPages {
  readonly #openWindows: () => readonly number[];
  readonly #seen = new Set<number>();
  readonly #reasons = new Set<string>();
  #rejected = 0;
  /** One event that was accepted is enough. */
  #hasAccepted: boolean;
  #isHopeless = false;

  /**
   * @param hasAccepted an earlier start of the run has accepted an event
   * @param openWindows those that are being walked, and are not at their end
   */
  constructor(hasAccepted: boolean, openWindows: () => readonly number[]) {
    this.#hasAccepted = hasAccepted;
    this.#openWindows = openWindows;
  }

  get isHopeless(): boolean {
    return this.#isHopeless && !this.#hasAccepted;
  }

  note({ encoded, ledger }: FirstPage): void {
    if (ledger.loaded > 0) this.#hasAccepted = true;
    if (this.#hasAccepted || this.#isHopeless) return;
    this.#seen.add(ledger.windowId);
    this.#rejected += ledger.rejected;
    for (const { kind, field, reason } of encoded?.anomalies ?? []) {
      if (kind === 'rejected') this.#reasons.add(`${field}: ${reason}`);
    }
    if (this.#rejected < MIN_EVENTS || this.#reasons.size !== 1) return;
    const open = this.#openWindows();
    // Where nothing is left to walk, the end of the run judges.
    this.#isHopeless = open.length > 0 && open.every((windowId) => this.#seen.has(windowId));
  }
}
