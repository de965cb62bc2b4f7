/**
 * What is done about a page whose events are partly broken. It is asked for again, differently: what was damaged on the way
 * comes well the next time. What comes twice alike is damaged at the source, and is set aside.
 *
 *   unclear ──▶ again, still unclear ──▶ the events before it ──▶ it alone ──▶ it and some behind it
 *                                        (accepted)              (its bytes)   (accepted, it is set aside)
 *
 * Where a page can be read in more than one way, the broken event is asked for alone, so that its bytes are known. Each
 * question asks for at most half of what the one before it did, but for the first ones, which believe the page.
 */
import { BROKEN_EVENTS, type PageRequest, type RawPage } from '../../api/api-client.ts';
import type { EncodedPage, ReadingHints } from '../../core/encoded-page.ts';
import type { Logger } from '../../core/logging.ts';
import type { PageBody } from '../../threads/page-encoder.ts';
import { isLimitFixed } from './cursor-age.ts';
import { noteLimit, noteSurplus, type EndpointTraits } from './endpoint-traits.ts';
import type { PageLimit } from './page-limit.ts';
import type { HowToEncode, UnusablePage, WorkerDeathSearch } from './worker-death-search.ts';

/**
 * The broken event is asked for once more with some behind it: that shows that the API minds the limit, and where the event
 * lies in time. More than what the client takes off the limit of a page that failed.
 */
const CONFIRMING_EVENTS = 12;

/** Pages that are believed about how many good events come first; after them half is asked for. */
const BELIEVED_PAGES = 2;

/** Readings of one page that all differ: it is not damaged on the way, but broken anew each time. */
const MAX_READINGS = 5;

/** No page yet. `isNarrowed`: the next question is another one, and needs no wait. */
export type NoPage = UnusablePage & { readonly isNarrowed?: boolean };

/** The last event of a page. */
interface PageEnd {
  readonly digest: string | null;
  /** Its bytes, if they are no JSON: then nothing but these tells where it ends. */
  readonly broken: Uint8Array | null;
}

const NO_END: PageEnd = { digest: null, broken: null };

function endOf({ anomalies, places, servedCount }: EncodedPage): PageEnd {
  const broken = anomalies.find(({ position, reason }) => position === servedCount - 1 && reason === 'not-json');
  return { digest: places.lastDigest, broken: broken?.original.slice() ?? null };
}

function leadsBack({ cursor }: PageRequest, { envelope, servedCount }: EncodedPage): boolean {
  return servedCount === 1 && cursor !== null && envelope.nextCursor === cursor;
}

type SearchedTraits = Pick<EndpointTraits, 'countsReturned' | 'mindsLimit' | 'largestPage'>;

export class BrokenEventSearch {
  readonly #encoder: Pick<WorkerDeathSearch, 'encode'>;
  readonly #limit: PageLimit;
  readonly #traits: SearchedTraits;
  readonly #logger: Logger;
  #page = 0;
  /** What was broken when the page came the last time. */
  #digest: string | null = null;
  #isUnclear = false;
  /** Events that are left before the broken one where the newest page begins; `null` while none is searched. */
  #ahead: number | null = null;
  #served = 0;
  /** How often less was asked for in this search. */
  #narrowings = 0;
  /** The last event of the newest page that reads, and of the page before. */
  #last = NO_END;
  #end = NO_END;
  /** Pages begin with the end of the last: cursors are inclusive. */
  #beginsKnown = false;
  #surplus = 0;
  /** How often the page came broken in another way. */
  #readings = 0;
  /** The broken event's bytes, once it was served alone. */
  #brokenEvent: Uint8Array | null = null;

  constructor(
    encoder: Pick<WorkerDeathSearch, 'encode'>,
    limit: PageLimit,
    { traits, logger }: { readonly traits: SearchedTraits; readonly logger: Logger },
  ) {
    this.#encoder = encoder;
    this.#limit = limit;
    this.#traits = traits;
    this.#logger = logger;
  }

  /** The page's body is transferred. @param request its limit is the one that was sent */
  async encode(
    request: PageRequest,
    asked: Omit<HowToEncode, 'hints'>,
    raw: PageBody & Partial<Pick<RawPage, 'leftOutAt'>>,
  ): Promise<EncodedPage | NoPage> {
    if (request.page !== this.#page) this.#begin(request.page);
    const { countsReturned, mindsLimit, largestPage } = this.#traits;
    const { leftOutAt = null } = raw;
    // Where limits are not minded, a page with more behind it has as many as any.
    const limit = mindsLimit === false && largestPage > 0 ? largestPage : request.limit;
    const known = this.#known(this.#brokenEvent);
    const hints = { limit, countsReturned, mindsLimit, ...known, isFixed: isLimitFixed(request), leftOutAt };
    let encoded = await this.#encoder.encode(request, { ...asked, hints }, raw);
    if (encoded.status === 'faulty' && mindsLimit === true && this.#brokenEvent !== null) {
      const { unclear, body, bodyBytes } = encoded;
      const alone = unclear?.alone ?? null;
      // It was broken in another way each time: it is set aside as it came now.
      if (alone !== null && body !== undefined && bodyBytes !== undefined) {
        const now = { ...asked, hints: { ...hints, ...this.#known(alone) } };
        encoded = await this.#encoder.encode(request, now, { ...raw, body, bodyBytes, contentEncoding: 'identity' });
      }
    }
    // What lies outside of the window is not taken: it only has to be there.
    if (request.across !== undefined) return encoded;
    if (encoded.status === 'faulty') return this.#narrow(request, encoded);
    const last = endOf(encoded);
    // So it is, too, where the cursor leads to itself: another process has taken the page before.
    if (leadsBack(request, encoded)) this.#end = last;
    const { firstDigest } = encoded.places;
    this.#beginsKnown = firstDigest !== null && firstDigest === this.#end.digest;
    if (this.#ahead !== null && this.#beginsKnown && request.limit === 1) return this.#askForMore();
    this.#last = last;
    const digest = encoded.mended?.digest ?? null;
    if (digest !== null && digest !== this.#digest && this.#readings < MAX_READINGS) {
      this.#digest = digest;
      this.#readings += 1;
      return { status: 'faulty', fault: BROKEN_EVENTS, detail: 'Events of the page are no JSON, or no UTF-8.' };
    }
    if (encoded.mended === null) noteLimit(this.#traits, request.limit, encoded);
    else this.#tell(request, encoded);
    this.#moveOn(encoded);
    return encoded;
  }

  /** The fewest events that bring one that is new. */
  get #least(): number {
    return this.#beginsKnown ? 2 + this.#surplus : 1;
  }

  /** What is known of the page that comes, beside an event that was served alone. */
  #known(alone: Uint8Array | null): Pick<ReadingHints, 'brokenEvents' | 'beginsKnown'> {
    const beginning = this.#beginsKnown ? this.#end.broken : null;
    const how = beginning === null ? 'well' : 'broken';
    return {
      brokenEvents: [beginning, alone].filter((event) => event !== null),
      beginsKnown: this.#beginsKnown && how,
    };
  }

  #begin(page: number): void {
    this.#page = page;
    this.#end = this.#last;
    this.#surplus = 0;
    this.#readings = 0;
    this.#digest = null;
    if (this.#ahead === null) this.#isUnclear = false;
    else this.#ahead = Math.max(0, this.#ahead - this.#served);
  }

  /** What to ask for after a page that has no reading, or more than one. */
  #narrow({ limit }: PageRequest, page: UnusablePage): NoPage {
    const { unclear } = page;
    if (unclear === undefined) return page;
    noteSurplus(this.#traits, limit, unclear.read);
    if (!this.#isUnclear) {
      this.#isUnclear = true;
      return { ...page, fault: BROKEN_EVENTS };
    }
    if (unclear.alone !== null) {
      // What was served alone did not come with others.
      if (this.#brokenEvent !== null) return this.#giveUp(page);
      this.#brokenEvent = unclear.alone;
      this.#ahead = 0;
      this.#limit.narrowTo(CONFIRMING_EVENTS);
      return { ...page, fault: BROKEN_EVENTS, isNarrowed: true };
    }
    if (limit <= this.#least) return this.#giveUp(page);
    this.#narrowings += 1;
    const most = this.#narrowings <= BELIEVED_PAGES ? limit - 1 : Math.floor(limit / 2);
    this.#ahead = Math.min(unclear.goodBefore, most);
    this.#limit.narrowTo(Math.max(this.#least, this.#ahead));
    return { ...page, fault: BROKEN_EVENTS, isNarrowed: true };
  }

  /** A page of one event is the one that the page before it ended with. */
  #askForMore(): NoPage {
    // Known when it was asked for, it came alone because the client asks for less each time that a page fails.
    if (this.#limit.value > 1) this.#surplus += 1;
    this.#limit.narrowTo(this.#least);
    // What was searched and is known now is that event: the one behind it may be broken, too.
    if (this.#end.broken !== null) this.#brokenEvent = null;
    const detail = 'A page of one event is the event that the page before it ended with.';
    return { status: 'faulty', fault: BROKEN_EVENTS, detail, isNarrowed: this.#limit.value > 1 };
  }

  /** The search begins again, and each time counts as a failure of the page. */
  #giveUp(page: UnusablePage): NoPage {
    this.#forget();
    return { ...page, fault: BROKEN_EVENTS };
  }

  #forget(): void {
    this.#limit.narrowTo(Infinity);
    this.#ahead = null;
    this.#narrowings = 0;
    this.#brokenEvent = null;
  }

  /** A page is about to be accepted: whether it is gone on with the search behind it. */
  #moveOn({ servedCount }: EncodedPage): void {
    this.#served = servedCount;
    if (this.#ahead === null) return;
    const left = this.#ahead - servedCount;
    if (this.#brokenEvent === null && left >= 0) {
      this.#limit.narrowTo(Math.max(this.#least, left));
      return;
    }
    this.#forget();
  }

  #tell({ windowId, page }: PageRequest, { rejectedCount, repairedCount }: EncodedPage): void {
    this.#logger.warn(
      { window: windowId, page, rejected: rejectedCount, repaired: repairedCount },
      'events of a page are broken at the source; they are set aside in ingestion.anomaly',
    );
  }
}
