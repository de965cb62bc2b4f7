/** How many events a window asks for at once. Pure. */
import { limitInTurn } from '../../api/api-client.ts';
import type { EndpointTraits } from './endpoint-traits.ts';

/** Good pages before a larger size is tried: what was too large once will be again. */
const PAGES_BEFORE_GROWTH = 16;
/** Reductions go round from 1 to this: each only has to differ from those before it. */
const MAX_REDUCTION = 10;

export class PageLimit {
  readonly #pageSize: number;
  readonly #traits: Pick<EndpointTraits, 'maxPage' | 'doubtedMaxPage'>;
  #size: number;
  #reduction: number;
  #goodPages = 0;
  /** The most that is asked for while a broken event is being searched. */
  #most = Infinity;

  constructor(pageSize: number, reduction: number, traits: Pick<EndpointTraits, 'maxPage' | 'doubtedMaxPage'>) {
    this.#pageSize = pageSize;
    this.#traits = traits;
    this.#size = pageSize;
    this.#reduction = reduction;
  }

  get value(): number {
    const size = Math.min(this.#size, this.#traits.maxPage);
    return Math.min(this.#most, limitInTurn(size, this.#reduction));
  }

  /** Asks a little differently from now on: the API may answer the same request from its cache. */
  reduce(): void {
    this.#reduction = (this.#reduction % MAX_REDUCTION) + 1;
  }

  /** Asks for no more than this, until it is set otherwise. */
  narrowTo(most: number): void {
    this.#most = most;
  }

  shrink(factor: number): void {
    this.shrinkTo(Math.floor(Math.min(this.#size, this.#traits.maxPage) / factor));
  }

  /** @param most events; as few are asked for, until enough pages were good */
  shrinkTo(most: number): void {
    this.#size = Math.max(1, Math.min(this.#size, most));
    this.#goodPages = 0;
  }

  /** @param maxEvents what the endpoint allows all windows; `null` where it does not say */
  noteTooLarge(maxEvents: number | null): void {
    if (maxEvents === null) this.shrink(2);
    else this.#traits.maxPage = maxEvents;
    this.#goodPages = 0;
  }

  /** What made it shrink has been found. */
  restore(): void {
    this.#size = this.#pageSize;
  }

  /** After each accepted page. What the API said once of its largest page may have been about something else: once, more is asked for. */
  grow(): void {
    const { maxPage, doubtedMaxPage } = this.#traits;
    const isDoubtful = maxPage < this.#pageSize && maxPage !== doubtedMaxPage;
    if (this.#size === this.#pageSize && !isDoubtful) return;
    this.#goodPages += 1;
    if (this.#goodPages < PAGES_BEFORE_GROWTH) return;
    this.#goodPages = 0;
    this.#size = Math.min(this.#pageSize, this.#size * 2);
    if (!isDoubtful) return;
    this.#traits.doubtedMaxPage = maxPage;
    this.#traits.maxPage = Infinity;
  }
}
