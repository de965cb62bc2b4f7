/**
 * How many events may be rejected (`--max-rejected`). Accounting for every event is not success when none of them became a
 * row: such a run ends with another code than 0, and stays unfinished until somebody says that it is as it should be.
 *
 *   not set         more than 5 % and more than 20, or all of them (of no round of --follow): code 5 at the end; a first load: code 2 early, see first-pages.ts
 *   N               more than N different ones: code 4, early and at the end
 *   P%              a larger share of what was served: code 5 at the end; 100% accepts everything
 */
import type { Settings } from '../../core/config.ts';
import { ConfigurationError, RejectedTooManyError, StuckError } from '../../core/errors.ts';
import { commonestRejections, rejectedCount, type Rejection } from '../../load/copy/anomalies.ts';
import { roundOf, type Run } from '../../core/state.ts';
import type { Database } from '../../load/postgres/database.ts';
import { FirstPages, type FirstPage } from './first-pages.ts';
import type { JobCounters } from './job-counters.ts';
import { describeRejections } from './rejection-text.ts';

const DEFAULT_SHARE = 0.05;
/** As few as this are no pattern yet, whatever their share. */
const DEFAULT_EVENTS = 20;
/** How many reasons an error names. */
const MAX_REASONS = 3;

const HOW_TO_ACCEPT =
  'npm run anomalies shows them. If that is as it should be, start again with --max-rejected 100% (MAX_REJECTED; a lower ' +
  'percentage or a number of events do, too)';

export interface RejectionLimitOptions {
  readonly bound: Settings['maxRejected'];
  readonly counters: Pick<JobCounters, 'counts' | 'rejected'>;
  /** Different rejected events, merged ones. */
  readonly different: () => Promise<number>;
  readonly commonest: () => Promise<readonly Rejection[]>;
  /** Windows that are being walked, and are not at their end. */
  readonly openWindows: () => readonly number[];
  /** It takes what a few seconds have brought: that all of a few events are rejected says nothing. */
  readonly isRound?: boolean;
  /** An earlier run has taken events of the source: many bad ones in a row do not make it one that the program does not understand. */
  readonly isUnderstood?: boolean;
}

/** @param openWindows see {@link RejectionLimitOptions} */
export function rejectionLimitFor(
  parts: { readonly settings: Settings; readonly db: Database; readonly counters: JobCounters },
  run: Pick<Run, 'runId' | 'begunBy' | 'incrementalSinceMs'>,
  openWindows: () => readonly number[],
): RejectionLimit {
  const { settings, db, counters } = parts;
  const { runId } = run;
  const read = <T>(query: () => Promise<T>): Promise<T> => db.persistently('counting rejected events', query);
  return new RejectionLimit({
    bound: settings.maxRejected,
    counters,
    different: () => read(() => rejectedCount(db, runId)),
    commonest: () => read(() => commonestRejections(db, runId, MAX_REASONS)),
    openWindows,
    isRound: roundOf(run) !== null,
    isUnderstood: roundOf(run) !== null || run.incrementalSinceMs !== null,
  });
}

export class RejectionLimit {
  readonly #options: RejectionLimitOptions;
  /** `null` where the setting accepts whatever comes, or counts events. */
  readonly #firstPages: FirstPages | null;
  /** Served and counted more than once, as far as is known: windows overlap, and pages can come twice. */
  #repeated = 0;

  constructor(options: RejectionLimitOptions) {
    const { bound, counters, openWindows, isUnderstood = false } = options;
    this.#options = options;
    const judgesShare = bound === undefined || ('share' in bound && bound.share < 1);
    this.#firstPages = judgesShare && !isUnderstood ? new FirstPages(counters.counts.loaded > 0, openWindows) : null;
  }

  /** Every page that is accepted, before it is copied. */
  note(page: FirstPage): void {
    this.#firstPages?.note(page);
  }

  /** Perhaps: {@link check} tells, when everything is merged. */
  get isPassed(): boolean {
    const max = this.#maxEvents;
    if (this.#firstPages?.isHopeless === true) return true;
    return max !== null && this.#options.counters.rejected - this.#repeated > max;
  }

  /** Call it when everything is merged, after each walk. @throws StuckError, ConfigurationError */
  async check(): Promise<void> {
    if (!this.isPassed) return;
    await this.#checkEvents();
    if (this.#firstPages?.isHopeless !== true) return;
    const why = describeRejections(await this.#options.commonest());
    throw new ConfigurationError(
      `Nothing but rejected events has come, all for one reason: ${why}. Stopped, because this source does not seem to be ` +
        `one that the program understands: check API_BASE_URL. ${HOW_TO_ACCEPT}.`,
    );
  }

  /** Call it before a run completes, also when a stop was asked for meanwhile. @throws StuckError, RejectedTooManyError */
  async checkAtEnd(): Promise<void> {
    const { served, rejected } = this.#options.counters.counts;
    if (rejected === 0) return;
    await this.#checkEvents();
    if (!(await this.#isShareTooLarge())) return;
    throw new RejectedTooManyError(
      `${rejected} of ${served} events were rejected (${percent(rejected / served)}): ` +
        `${describeRejections(await this.#options.commonest())}. What was loaded is safe, and the run is not finished. ` +
        `${HOW_TO_ACCEPT}: the run is completed then. If what refused them is mended, npm start -- --new-run takes them again.`,
    );
  }

  get #maxEvents(): number | null {
    const { bound } = this.#options;
    return bound !== undefined && 'events' in bound ? bound.events : null;
  }

  async #checkEvents(): Promise<void> {
    const max = this.#maxEvents;
    const { counters, different } = this.#options;
    if (max === null || counters.rejected - this.#repeated <= max) return;
    const rejected = await different();
    this.#repeated = counters.rejected - rejected;
    if (rejected <= max) return;
    throw new StuckError(
      `${rejected} events were rejected, and --max-rejected allows ${max}. What was loaded is safe: npm run anomalies ` +
        'shows them; start again with a higher limit to go on.',
    );
  }

  /** Both sides count an event each time it was served, so that a part that is served again does not weigh differently. */
  async #isShareTooLarge(): Promise<boolean> {
    const { bound, counters, different, isRound = false } = this.#options;
    const { served, loaded, rejected } = counters.counts;
    const share = rejected / served;
    if (bound !== undefined) return 'share' in bound && share > bound.share;
    return (loaded === 0 && !isRound) || (share > DEFAULT_SHARE && (await different()) > DEFAULT_EVENTS);
  }
}

/** `12.3 %`, `100 %`: rounded down to a tenth. */
function percent(share: number): string {
  return `${Math.floor(share * 1000) / 10} %`;
}
