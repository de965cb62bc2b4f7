/** `--max-rejected`: more rejected events than that end the run, whichever page brings the one too many. */
import { GaveUpError } from '../../core/errors.ts';

export interface RejectionLimitOptions {
  /** Not set: unlimited. */
  readonly max: number | undefined;
  /** Rejected so far, merged or staged, each time it was served: windows overlap, and pages can come twice. */
  readonly served: () => number;
  /** Different rejected events, merged ones. */
  readonly different: () => Promise<number>;
}

export class RejectionLimit {
  readonly #options: RejectionLimitOptions;
  /** Served and counted more than once, as far as is known. */
  #repeated = 0;

  constructor(options: RejectionLimitOptions) {
    this.#options = options;
  }

  /** Perhaps: {@link check} tells, when everything is merged. */
  get isPassed(): boolean {
    const { max, served } = this.#options;
    return max !== undefined && served() - this.#repeated > max;
  }

  /** Call it when everything is merged. @throws GaveUpError */
  async check(): Promise<void> {
    const { max, served, different } = this.#options;
    if (max === undefined || !this.isPassed) return;
    const rejected = await different();
    this.#repeated = served() - rejected;
    if (rejected <= max) return;
    throw new GaveUpError(
      `${rejected} events were rejected, and --max-rejected allows ${max}. What was loaded is safe: npm run anomalies ` +
        'shows them; start again with a higher limit to go on.',
    );
  }
}
