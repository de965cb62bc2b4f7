/**
 * What comes behind something that looked like the end of a list.
 *
 * A page may say that nothing follows and still have a next cursor. Where a request by time cannot show more, that cursor is asked for. So
 * is the next number of a page, where a description says that a short page is the last.
 *
 * An end that is not believed, where nothing can be asked by time, is looked at from above. The last page is asked for again by its own
 * cursor, with a smaller limit, so that its last events are left out. The cursor of that answer leads to those events. If they come again,
 * alone, in a page with room for more, the list ends there.
 *
 *   ───────── last page ─────────┤ the end?
 *            └─── from ───┤through───────
 *
 * Where it can be asked by time, an empty page behind a cursor is looked at from under it: by time, from below what was served last. What
 * the API has there shows that the list does not end.
 */
import type { PageRequest, RawPage } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import { nextPage, type Look, type NextPage } from './cursor-age.ts';
import type { EndpointTraits } from './endpoint-traits.ts';
import type { NoPage } from './broken-event-search.ts';
import type { JudgedWalk } from './judged-walk.ts';
import { AskedAgain } from './page-checks.ts';
import { endOfNothing, type Step } from './step.ts';

export class BehindEnd {
  readonly #traits: EndpointTraits;
  readonly #walk: Pick<JudgedWalk, 'chain' | 'position'>;
  readonly #faulty = new AskedAgain();
  /** More came by a cursor whose page had said that nothing follows. */
  #hasLedOn = false;

  constructor(traits: EndpointTraits, walk: Pick<JudgedWalk, 'chain' | 'position'>) {
    this.#traits = traits;
    this.#walk = walk;
  }

  /**
   * @param answer `null`: the API gave no page
   * @returns what the walk does next; `null`: it is judged as any other answer
   */
  judge(
    request: PageRequest,
    answer: { readonly raw: RawPage; readonly encoded: EncodedPage | NoPage } | null,
    { page, look, pastEnd }: NextPage,
  ): Step | null {
    const encoded = answer?.encoded.status === 'encoded' ? answer.encoded : null;
    if (look?.step === 'under') return this.#judgeUnder(answer === null, encoded, page);
    if (look !== undefined) return this.#judgeLook(request, answer?.raw ?? null, encoded, look);
    if (pastEnd === undefined) return null;
    if (answer !== null && encoded === null && this.#faulty.mayAsk(page)) return null;
    this.#hasLedOn ||= this.#bringsNew(encoded);
    // Once one of these cursors has led on, the word that nothing follows is worth nothing here: what fails now is no end.
    return this.#hasLedOn ? null : this.end(page, false);
  }

  #judgeLook(request: PageRequest, raw: RawPage | null, encoded: EncodedPage | null, look: Look): Step | null {
    const { page } = request;
    if (look.step === 'from') {
      const next = raw === null || encoded === null ? null : nextPage(request, raw, encoded.envelope);
      if (next !== null && next.cursor !== null && next.cursor !== request.cursor) {
        return {
          kind: 'retry',
          next: { ...next, page, cursorLimit: null, look: { ...look, step: 'through' } },
          suspect: false,
        };
      }
    } else if (encoded !== null && encoded.servedCount > 0) {
      if (this.#bringsNew(encoded)) {
        // It begins above the end of the page before.
        if (encoded.times !== null && this.#traits.isOrderedByTime) this.#walk.position.beginAgain();
        return null;
      }
      if (this.#isAnswer(request, encoded)) return this.end(page, false);
    }
    const saysMore = encoded?.envelope.hasMore === true;
    if (look.original === null) return this.end(page, look.isDoubtful || saysMore);
    return { kind: 'retry', next: look.original, suspect: false };
  }

  /** @returns `null`: the answer is no page, and is asked for again */
  #judgeUnder(isNothing: boolean, encoded: EncodedPage | null, page: number): Step | null {
    if (!isNothing && encoded === null && this.#faulty.mayAsk(page)) return null;
    const { position } = this.#walk;
    const { servedToMs } = position;
    const lies = (timeMs: number): boolean => servedToMs !== null && timeMs < servedToMs && position.contains(timeMs);
    return this.end(page, encoded?.places.timesMs.some(lies) === true);
  }

  /** The walk ends without another event, and where the API ends each list, too. */
  end(page: number, isDoubtful: boolean): Step {
    const isCapped = this.#walk.chain.isCutAt(this.#traits.cap, 0, { hasAnchors: false });
    this.#traits.hasMetCap ||= isCapped;
    return endOfNothing(page, isDoubtful || isCapped);
  }

  #bringsNew(encoded: EncodedPage | null): encoded is EncodedPage {
    if (encoded === null || encoded.servedCount === 0) return false;
    const { chain } = this.#walk;
    return encoded.places.lastDigest !== chain.lastDigest && !chain.hasServed(encoded);
  }

  /** It had room for more, does not say that more follows, and speaks of no failure. */
  #isAnswer({ limit }: PageRequest, { servedCount, envelope }: EncodedPage): boolean {
    const { largestPage, failureWords } = this.#traits;
    if (envelope.speaksOfError && failureWords !== 'mean-nothing') return false;
    return envelope.hasMore !== true && servedCount < limit && servedCount < largestPage;
  }
}
