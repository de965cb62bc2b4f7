/** What to ask about an end of a walk that is not believed, by where the walk is and how its endpoint can be asked. */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import type { ByTime } from './chain.ts';
import { mayBeDead } from './cursor-age.ts';
import { EndDoubts, type EndDoubt, type Expected, type Question } from './doubtful-end.ts';
import type { EndpointTraits } from './endpoint-traits.ts';
import type { JudgedWalk } from './judged-walk.ts';

export class EndQuestions {
  readonly #traits: EndpointTraits;
  readonly #walk: JudgedWalk;
  readonly #doubts = new EndDoubts();

  constructor(traits: EndpointTraits, walk: JudgedWalk) {
    this.#traits = traits;
    this.#walk = walk;
  }

  expected({ page }: Pick<PageRequest, 'page'>, isInhabited: boolean): Expected {
    const { position, chain } = this.#walk;
    const sizes = { latestPage: chain.latestPage, cut: this.#doubts.cut(page) };
    return { ...this.#traits, ...sizes, servedToMs: position.servedToMs, isInhabited };
  }

  /** @param isWhole the walk is all there is: nothing lies outside of it */
  about(
    request: PageRequest,
    page: EncodedPage | null,
    doubt: EndDoubt | null,
    { byTime, isWhole }: { readonly byTime: ByTime; readonly isWhole: boolean },
  ): Question {
    if (doubt === null) return 'stands';
    const { position } = this.#walk;
    const { servedToMs, sinceMs } = position;
    const isEmpty = page === null || page.servedCount === 0;
    if (doubt.isCut === true && position.raise()) return this.#doubts.askHigher(request.page, page);
    const fromMs = isEmpty ? servedToMs : (page.times?.oldestMs ?? null);
    const canAskAcross = byTime.hasAnchors && servedToMs === null && !isWhole && isEmpty;
    const across = canAskAcross ? (sinceMs === null ? 'top' : 'below') : null;
    const question = this.#doubts.next(request.page, doubt, byTime.hasAnchors ? fromMs : null, across);
    const isDeadEnd = isEmpty && mayBeDead(request, this.#walk.storedCursor) && this.mayBeginAnew(byTime);
    return question === 'stands' && isDeadEnd ? 'begin-anew' : question;
  }

  /**
   * Where an old cursor leads may be what a dead one is answered with. Where nothing can be asked by time, the list is begun from the
   * top for that, once.
   */
  mayBeginAnew(byTime: ByTime): boolean {
    return !canGoOnByTime(byTime, this.#walk) && !this.#traits.wasBegunAnew;
  }
}

export function canGoOnByTime({ hasAnchors }: ByTime, { position }: Pick<JudgedWalk, 'position'>): boolean {
  return hasAnchors && position.topMs !== null;
}
