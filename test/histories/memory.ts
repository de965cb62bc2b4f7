/** What a player remembers of the past of its history: runs, rows that people removed, rules that they added. */
import type { ApiModel } from './api-model.ts';
import type { TargetRow } from './event-model.ts';
import type { StartStep, TableStep } from './history.ts';
import type { RunBegin } from './law.ts';
import type { StoredRun } from './target.ts';

const RULES: readonly TableStep['deed'][] = [
  'make-key-case-blind',
  'add-check',
  'add-version-check',
  'add-swallowing-trigger',
];
const HARMLESS: readonly TableStep['deed'][] = ['keep-table', 'drop-checks', 'drop-trigger'];

export class Memory {
  /** People have changed rows or added rules. */
  isTampered = false;
  /** A rule has refused rows at some time. */
  hadRules = false;
  /** The id column was of type uuid at some time, or a start was told that it is. */
  hadUuids = false;
  #runs = new Map<number, RunBegin>();
  #complete: RunBegin[] = [];
  #kept: { runs: Map<number, RunBegin>; complete: RunBegin[] } | null = null;
  /** Ids of removed rows, with the deed that removed them. */
  readonly #removed = new Map<string, number>();
  #acceptedAt = -1;

  notesStart({ flags }: StartStep, deed: number): void {
    if (flags.acceptFewerRows === true) this.#acceptedAt = deed;
    if (flags.idType === 'uuid') this.hadUuids = true;
  }

  /** The newest run after a start: known from before, or begun by it. */
  knowsRun(stored: StoredRun, begin: Omit<RunBegin, 'runId'>): RunBegin {
    const known = this.#runs.get(stored.runId);
    const run = known ?? { ...begin, runId: stored.runId };
    this.#runs.set(stored.runId, run);
    if (stored.status === 'complete' && !run.isComplete) {
      run.isComplete = true;
      run.proof = stored.proof;
      this.#complete.push(run);
    }
    return run;
  }

  lastComplete(api: ApiModel, { withRange }: { readonly withRange: boolean }): RunBegin | null {
    return this.#complete.findLast((run) => run.api === api && (withRange || run.range === null)) ?? null;
  }

  notesDeed(
    { deed: what }: TableStep,
    {
      before,
      after,
      deed,
    }: {
      readonly before: ReadonlyMap<string, TargetRow>;
      readonly after: ReadonlyMap<string, TargetRow>;
      readonly deed: number;
    },
  ): void {
    if (HARMLESS.includes(what)) return;
    this.isTampered = true;
    if (RULES.includes(what)) this.hadRules = true;
    for (const id of before.keys()) if (!after.has(id)) this.#removed.set(id, deed);
    for (const id of after.keys()) this.#removed.delete(id);
  }

  /** Removed rows that need not come back in this run. */
  forgivenIn(run: RunBegin): ReadonlySet<string> {
    const walksAll = run.behind === null;
    const forgiven = [...this.#removed].filter(
      ([, deed]) => deed < this.#acceptedAt && !(walksAll && run.atDeed > deed),
    );
    return new Set(forgiven.map(([id]) => id));
  }

  keep(): void {
    this.#kept = { runs: new Map(this.#runs), complete: [...this.#complete] };
  }

  /** The database is as it was: what happened to it since has not happened. */
  restore(): void {
    if (this.#kept === null) return;
    this.#runs = new Map(this.#kept.runs);
    this.#complete = [...this.#kept.complete];
    for (const run of this.#runs.values()) run.isComplete = this.#complete.includes(run);
  }
}
