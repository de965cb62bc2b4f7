/**
 * `npm run verify`: whether what a run was proven by still holds, for the source that the settings name. Takes no events; one
 * request or two. It compares like with like: the table with what the job left in it, the API's total now with its total when
 * the run was proven. Rows are never held against the total: they are of all runs, and the total is of the API's list.
 */
import { describedSource, type DescribedSource } from '../app/run/described-source.ts';
import { addressOf, isDemo } from '../app/run/job-source.ts';
import { whyRejectionsAreGone } from '../app/run/target-check.ts';
import type { Environment, Settings } from '../core/config.ts';
import { ConfigurationError, CountsDisagreeError, type ExitCode } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import { isProven, type Proof } from '../core/state.ts';
import type { Database } from '../load/postgres/database.ts';
import type { Source, Target } from '../load/schema/source.ts';
import { readBaseRun, readNewestRun, type StoredRun } from '../load/state/run-reader.ts';
import { readTargetRows } from '../load/state/target-rows.ts';
import { proofText } from '../watch/page/texts.js';
import { askTotal } from './ask-total.ts';
import { reportCommand } from './report-command.ts';

interface Verified {
  readonly source: string;
  readonly runId: number;
  readonly runStatus: StoredRun['status'];
  readonly proof: Proof | null;
  readonly rows: number;
  /** Rows that the job left in the table; null when they were never counted. */
  readonly rowsRemembered: number | null;
  /** Events that the API counts now; null when it does not say, or could not be asked. */
  readonly total: number | null;
  /** What it counted when the last run without limits was proven; null when there is no such run, or no count. */
  readonly totalWhenProven: number | null;
  /** Why the exit code is 5; null when what was proven still holds. */
  readonly problem: string | null;
}

/** The command; prints to stdout. Code 0 when what was proven still holds, 5 when not, 2 for another source than the run's. */
export function verify(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  return reportCommand(argv, environment, {
    name: 'verify',
    description:
      'Says by what the newest run is proven, and whether it still holds. Asks for one event, changes nothing.',
    groups: ['source', 'network'],
    work: async ({ db, source, settings, described, isJson, logger }) => {
      const api = described === null ? null : describedSource(described, environment);
      const verified = await readVerified(db, source, settings, api, logger);
      process.stdout.write(`${isJson ? JSON.stringify(verified, null, 2) : describe(verified)}\n`);
      if (verified.problem !== null) throw new CountsDisagreeError(verified.problem);
    },
  });
}

/** @throws ConfigurationError when there is no run, or it is of another source */
async function readVerified(
  db: Database,
  source: Source,
  settings: Settings,
  described: DescribedSource | null,
  logger: Logger,
): Promise<Verified> {
  const run = await readNewestRun(db, source);
  if (run === null) throw new ConfigurationError(`There is no run in ${db.described} to verify: npm start makes one.`);
  refuseOtherSource(db, run.source, described?.address ?? addressOf(settings));
  const proven = await readBaseRun(db, source, run.source, 'proof');
  const { rows, remembered } = await readTargetRows(db, source);
  const found = {
    source: run.source,
    runId: run.runId,
    runStatus: run.status,
    proof: run.proof,
    rows,
    rowsRemembered: remembered,
    // The API of the demo ends with the demo.
    total: described === null && isDemo(settings) ? null : await askTotal(settings, described, logger),
    totalWhenProven: proven?.passTotal ?? null,
  };
  const areGone = await whyRejectionsAreGone(db, { runId: run.runId, rejected: run.counts.rejected });
  return { ...found, problem: problemOf(found, source.target) ?? areGone };
}

function refuseOtherSource(db: Database, source: string, asked: string): void {
  if (asked === source) return;
  throw new ConfigurationError(
    `The newest run in ${db.described} took its events from ${source}, and these settings name ${asked}: nothing can be ` +
      'proven about a source by the run of another. Set API_BASE_URL, TARGET_API_KEY and DATABASE_URL, or --source with its description, as the run had them.',
  );
}

/** The first thing that keeps what was proven from being believed now. */
function problemOf(found: Omit<Verified, 'problem'>, target: Target): string | null {
  const { runId, runStatus, proof, rows, rowsRemembered, total, totalWhenProven } = found;
  if (runStatus !== 'complete') return `Run ${runId} is not complete: npm start goes on with it.`;
  if (!isProven(proof)) {
    return (
      `Run ${runId} was completed, and is ${proofText(proof)}: npm start proves what is new, ` +
      'npm start -- --full walks and proves everything.'
    );
  }
  if (rowsRemembered !== null && rows < rowsRemembered) {
    return (
      `${rowsRemembered - rows} rows are gone: ${target.name} has ${rows}, and the job left ${rowsRemembered} in it. ` +
      'npm start -- --full takes what the API still has; npm start -- --accept-fewer-rows goes on without them.'
    );
  }
  if (total !== null && totalWhenProven !== null && total > totalWhenProven) {
    const came = total - totalWhenProven;
    return `${came} events came since the proof, or are missing: npm start takes what is new.`;
  }
  return null;
}

function describe(found: Verified): string {
  const { runId, runStatus, source, proof } = found;
  const unproven = runStatus === 'running' ? 'not finished, and not proven' : `${runStatus}, and not proven`;
  const status = runStatus === 'complete' ? `complete, ${proofText(proof)}` : unproven;
  return [`Run ${runId} of ${source}: ${status}.`, describeRows(found), describeTotal(found)].join('\n');
}

function describeRows({ rows, rowsRemembered }: Verified): string {
  if (rowsRemembered === null) return `The table has ${rows} rows; how many the job left in it was never counted.`;
  const more = rows - rowsRemembered;
  if (more === 0) return `The table has ${rows} rows, as many as the job left in it.`;
  return `The table has ${rows} rows, ${Math.abs(more)} ${more > 0 ? 'more' : 'fewer'} than the ${rowsRemembered} that the job left in it.`;
}

function describeTotal({ total, totalWhenProven, problem, proof }: Verified): string {
  if (total === null)
    return 'How many events the API has now is not known: whether any came since the proof cannot be said.';
  if (totalWhenProven === null) {
    return `The API counts ${total} events now. What it counted at a proof is not known: whether any came since cannot be said.`;
  }
  const more = total - totalWhenProven;
  if (more > 0)
    return `The API counts ${total} events now, ${more} more than at the last proof of a run without limits.`;
  if (more < 0) {
    return (
      `The API counts ${total} events now, ${-more} fewer than at the proof: it deletes events, or keeps them for a limited ` +
      'time. The rows stay; whether new events came beside the deleted ones cannot be said.'
    );
  }
  const verdict =
    problem === null && proof?.kind === 'count' ? ': nothing is missing, unless it has deleted as many as came' : '';
  return `The API counts ${total} events now, as many as at the proof${verdict}.`;
}
