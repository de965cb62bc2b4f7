/**
 * Looks at the newest page, and says whether anything on it is new. One request where nothing is, and never the same one within
 * half a minute, because an API may answer that from its cache.
 */
import { newestEvents, type ApiClient, type PageAnswer, type PageRequest, type RawPage } from '../../api/api-client.ts';
import type { Clock } from '../../core/clock.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import { GaveUpError, WorkerDiedError } from '../../core/errors.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';
import { clockAt } from '../run/watermark.ts';
import { FirstAnswer } from '../walk/first-answer.ts';
import { RecentAsks } from './recent-asks.ts';

/** Events that a look asks for at least: a few more than a page on which a walk without bounds of time can end. */
const FEWEST_EVENTS = 250;
/** What one interval has brought is no promise of what the next one brings. */
const MARGIN = 2;
/** Numbers of looks, by which the client tells their attempts apart: above those of all other questions, and not without end. */
const FIRST_LOOK = 1_000;
const LAST_LOOK = 1_000_000;
/** Pages differ a little in length: what one has shown may not be on the next one, and be on the one after it. */
const LOOKS_REMEMBERED = 12;
/** Answers that only say how to ask: another endpoint, a smaller page, an old one out of a cache. */
const MOST_ASKS = 4;

export interface Look {
  /** Events that are newer than what was taken, or were not there at the look before. */
  readonly fresh: number;
  /** Events that may be new by their times. */
  readonly recent: number;
  /** More may follow behind them. */
  readonly isFull: boolean;
  /** Of its newest event, epoch ms; `null` where no time is to be believed. */
  readonly newestMs: number | null;
  /** The API's count; `null` where it says none. */
  readonly total: number | null;
  /** For the walk that takes them; `null` where nothing came that can be handed on. */
  readonly first: FirstAnswer | null;
  /** Events that were asked for. */
  readonly limit: number;
  readonly keys: readonly string[];
}

export interface LookOptions {
  readonly client: ApiClient;
  readonly encoder: () => Promise<Pick<PageEncoder, 'encode'>>;
  readonly pageSize: number;
  readonly clock: Pick<Clock, 'now' | 'elapsedMs'>;
}

export class NewestPage {
  readonly #options: LookOptions;
  readonly #asks = new RecentAsks();
  /** Events that looks have shown, and that were taken, with the number of the look that has shown them last. */
  readonly #known = new Map<string, number>();
  #looks = 0;
  #number = FIRST_LOOK;
  #limit = FEWEST_EVENTS;
  /** The most events that the API gives at once. */
  #most = Infinity;

  constructor(options: LookOptions) {
    this.#options = options;
  }

  /**
   * @param sinceMs what is older was taken, epoch ms; `null` where only having seen an event shows that
   * @param isPatient a failure of stream access is waited out
   * @throws GaveUpError when the API does not serve; what the client throws
   */
  async look(sinceMs: number | null, signal: AbortSignal, isPatient: boolean): Promise<Look> {
    for (let asked = 1; ; asked += 1) {
      const request = this.#request(sinceMs, signal, isPatient);
      const answer = await this.#options.client.fetchPage(request);
      const isLast = asked >= MOST_ASKS;
      if (answer.kind === 'page' && (!answer.page.fromCache || isLast)) {
        const found = await this.#read(request, answer.page, sinceMs);
        this.#number = this.#number >= LAST_LOOK ? FIRST_LOOK : this.#number + 1;
        return found;
      }
      const { limit } = request;
      if (answer.kind === 'outside-range') return { ...NOTHING, limit };
      if (answer.kind === 'too-large') {
        if (isLast) return { ...UNREAD, limit };
        this.#most = answer.maxEvents ?? Math.ceil(limit / 2);
      }
      if (isLast) throw new GaveUpError(`the newest page was asked for and not served: ${describe(answer)}`);
    }
  }

  /** What the look has shown is taken, or was known. */
  noteTaken({ fresh, recent, keys }: Look): void {
    this.#looks += 1;
    for (const key of keys) this.#known.set(key, this.#looks);
    for (const [key, look] of this.#known) if (look <= this.#looks - LOOKS_REMEMBERED) this.#known.delete(key);
    this.#limit = FEWEST_EVENTS + recent + MARGIN * fresh;
  }

  /** For a page that was not asked for lately. */
  limitFor(most: number, sinceMs: number | null = null): number {
    const { client, clock } = this.#options;
    return this.#asks.limitFor(most, `${client.endpoint} ${sinceMs ?? ''}`, clock.elapsedMs());
  }

  #request(fromMs: number | null, signal: AbortSignal, isPatient: boolean): PageRequest {
    const { client, pageSize } = this.#options;
    const sinceMs = client.bounds.since ? fromMs : null;
    const limit = this.limitFor(Math.min(this.#limit, pageSize, this.#most), sinceMs);
    return { ...newestEvents(this.#number, limit, signal), sinceMs, patience: isPatient ? 'for-access' : 'none' };
  }

  async #read(request: PageRequest, raw: RawPage, sinceMs: number | null): Promise<Look> {
    const kept = { ...raw, body: raw.body.slice(0, raw.bodyBytes) };
    const read = await this.#encode(request, raw);
    if (read === null) return { ...UNREAD, limit: raw.limit };
    const { fresh, recent } = this.#count(read, sinceMs);
    const isFull = fresh > 0 && fresh === read.servedCount && read.envelope.hasMore !== false;
    return {
      fresh,
      recent,
      isFull,
      // An API whose clock is behind would make all that is new an event of the future, and the lag grow for ever.
      newestMs: newestTime(read, Math.max(clockAt(raw), this.#options.clock.now())),
      total: raw.fromCache || (sinceMs !== null && isOfAnswer(read)) ? null : read.envelope.total,
      first: new FirstAnswer(request, kept),
      limit: raw.limit,
      keys: read.places.keys,
    };
  }

  /** `null`: its events cannot be told apart, or kill workers; the walk knows how to ask for them. */
  async #encode({ windowId, page }: PageRequest, raw: RawPage): Promise<EncodedPage | null> {
    const { limit, leftOutAt } = raw;
    const known = { brokenEvents: [], beginsKnown: false, isFixed: false } as const;
    const hints = { limit, countsReturned: true, mindsLimit: null, ...known, leftOutAt };
    try {
      const how = { windowId, page, instantMs: null, isKeyed: true, hints };
      const read = await (await this.#options.encoder()).encode(how, raw);
      if (read.status === 'encoded') {
        if (read.servedCount > 0 || !read.envelope.speaksOfError) return read;
        throw new GaveUpError('the newest page was asked for, and it is empty and speaks of an error');
      }
      if (read.unclear !== undefined) return null;
      throw new GaveUpError(`the newest page was asked for, and what came is none: ${read.detail}`);
    } catch (error) {
      if (error instanceof WorkerDiedError) return null;
      throw error;
    }
  }

  #count({ places: { keys, timesMs } }: EncodedPage, sinceMs: number | null): Pick<Look, 'fresh' | 'recent'> {
    const recent = keys.filter((_, at) => sinceMs === null || !((timesMs[at] ?? Number.NaN) < sinceMs));
    return { recent: recent.length, fresh: recent.filter((key) => !this.#known.has(key)).length };
  }
}

const NOTHING = { fresh: 0, recent: 0, isFull: false, newestMs: null, total: null, first: null, keys: [] };
/** The walk knows how to ask for what cannot be read at once. */
const UNREAD = { ...NOTHING, fresh: 1, recent: 1 };

/** Whether a bounded answer counts what was asked for, and not the list: nothing follows it, and it counts no more than it has. */
function isOfAnswer({ servedCount, envelope: { total, hasMore } }: EncodedPage): boolean {
  return hasMore === false && total !== null && total <= servedCount;
}

/** `Date` comes in whole seconds, cut off. */
const DATE_PRECISION_MS = 1_000;

/** The newest time that is not later than the clock; `null` where there is none. */
function newestTime({ places: { timesMs } }: EncodedPage, clockMs: number): number | null {
  const times = timesMs.filter((timeMs) => timeMs < clockMs + DATE_PRECISION_MS);
  return times.length === 0 ? null : Math.min(Math.max(...times), clockMs);
}

function describe(answer: PageAnswer): string {
  switch (answer.kind) {
    case 'page':
      return 'every answer came out of a cache';
    case 'too-large':
      return 'its page is too large';
    case 'stale-cursor':
    case 'outside-range':
    case 'endpoint-changed':
      return answer.detail;
  }
}
