/**
 * `npm run verify`: whether what a run was proven by still holds, for the source that the settings name. Takes no events; a few
 * requests. It compares like with like: the table with what the job left in it, the API's total now with its total when the run was
 * proven, and what it counted more at the newest round of `--follow` with what came since the proof. Rows are never held against
 * the total: they are of all runs, and the total is of the API's list.
 *
 * Beside a job that follows, events are always on their way: verify waits for the round that takes them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { describedSource } from '../app/run/described-source.ts';
import { addressOf, isDemo } from '../app/run/job-source.ts';
import { whyRejectionsAreGone } from '../app/run/target-check.ts';
import type { Environment } from '../core/config.ts';
import { ConfigurationError, CountsDisagreeError, type ExitCode } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';
import { isProven, type Proof } from '../core/state.ts';
import type { Database } from '../load/postgres/database.ts';
import type { Source, Target } from '../load/schema/source.ts';
import { readBaseRun, readNewestRun, readOwner, type OwnerReport, type StoredRun } from '../load/state/run-reader.ts';
import { readTakenSince } from '../load/state/taken-since.ts';
import { readTargetRows } from '../load/state/target-rows.ts';
import { proofText } from '../watch/page/texts.js';
import { askTotal } from './ask-total.ts';
import { reportCommand } from './report-command.ts';

/** More than two rounds of `--follow` at its usual interval. */
const PATIENCE_MS = 70_000;
const POLL_MS = 1_000;

/** What the database says. */
interface Found {
  readonly source: string;
  readonly runId: number;
  readonly runStatus: StoredRun['status'];
  readonly proof: Proof | null;
  readonly rows: number;
  /** Rows that the job left in the table; null when they were never counted. */
  readonly rowsRemembered: number | null;
  /** What the API counted when the last run without limits was proven; null when there is no such run, or no count. */
  readonly totalWhenProven: number | null;
  /** What it told the newest round of --follow that it told a count; the same as at the proof when there is none. */
  readonly totalWhenTaken: number | null;
  /** Events that came between the two, and behind them: rows, and rejected ones. */
  readonly takenSince: number;
  readonly takenBehind: number;
}

interface Verified extends Found {
  /** Events that the API counts now; null when it does not say, or could not be asked. */
  readonly total: number | null;
  /** Why the exit code is 5; null when what was proven still holds. */
  readonly problem: string | null;
}

interface Problem {
  readonly text: string;
  /** A job that is at work ends it, if all goes well. */
  readonly isPassing: boolean;
}

interface Parts {
  readonly db: Database;
  readonly source: Source;
  readonly logger: Logger;
  readonly askTotal: () => Promise<number | null>;
}

/**
 * The command; prints to stdout. Code 0 when what was proven still holds, 5 when not, 2 for another source than the run's.
 * @param patienceMs how long to wait for a job that is at work
 */
export function verify(argv: readonly string[], environment: Environment, patienceMs = PATIENCE_MS): Promise<ExitCode> {
  return reportCommand(argv, environment, {
    name: 'verify',
    description:
      'Says by what the newest run is proven, and whether it still holds. Asks for one event, changes nothing.',
    groups: ['source', 'network'],
    work: async ({ db, source, settings, described, isJson, logger }) => {
      const api = described === null ? null : describedSource(described, environment);
      // The API of the demo ends with the demo.
      const hasApi = described !== null || !isDemo(settings);
      const parts = {
        ...{ db, source, logger },
        askTotal: async () => (hasApi ? askTotal(settings, api, logger) : null),
      };
      const verified = await readVerified(parts, api?.address ?? addressOf(settings), patienceMs);
      process.stdout.write(`${isJson ? JSON.stringify(verified, null, 2) : describe(verified)}\n`);
      if (verified.problem !== null) throw new CountsDisagreeError(verified.problem);
    },
  });
}

/** @throws ConfigurationError when there is no run, or it is of another source */
async function readVerified(parts: Parts, address: string, patienceMs: number): Promise<Verified> {
  const { db, source, logger, askTotal } = parts;
  const askedMs = performance.now();
  // Read before the API is asked: what the job takes meanwhile must not stand in for what is missing.
  let found = await readFound(parts, address);
  const asked = await askTotal();
  let total = asked;
  let isTold = false;
  for (;;) {
    const { takenBy, rejected, ...shown } = found;
    const owner = await readOwner(db, source);
    const problem = problemOf({ ...shown, asked, total }, source.target, owner);
    if (problem?.isPassing !== true || performance.now() - askedMs >= patienceMs) {
      const areGone = await whyRejectionsAreGone(db, { runId: shown.runId, rejected });
      // What came behind the round that was waited for is no longer asked about.
      const isTaken = isTold && asked !== null && asked <= (shown.totalWhenTaken ?? -1);
      return { ...shown, total: isTaken ? shown.totalWhenTaken : total, problem: problem?.text ?? areGone };
    }
    if (!isTold) logger.warn({ why: problem.text }, 'waiting for the job that is at work');
    isTold = true;
    await delay(POLL_MS);
    found = await readFound(parts, address);
    // Where the API deletes events, too, it never counts as many again.
    if (found.takenBy !== takenBy) total = (await askTotal()) ?? total;
  }
}

async function readFound(
  { db, source }: Pick<Parts, 'db' | 'source'>,
  address: string,
): Promise<Found & { readonly takenBy: number | null; readonly rejected: number }> {
  const run = await readNewestRun(db, source);
  if (run === null) throw new ConfigurationError(`There is no run in ${db.described} to verify: npm start makes one.`);
  refuseOtherSource(db, run.source, address);
  const proven = await readBaseRun(db, source, run.source, 'proof');
  const taken = proven === null ? null : await readTakenSince(db, source, proven);
  const { rows, remembered } = await readTargetRows(db, source);
  return {
    source: run.source,
    runId: run.runId,
    runStatus: run.status,
    proof: run.proof,
    rows,
    rowsRemembered: remembered,
    totalWhenProven: proven?.passTotal ?? null,
    totalWhenTaken: taken?.total ?? null,
    takenSince: taken?.events ?? 0,
    takenBehind: taken?.eventsBehind ?? 0,
    takenBy: taken?.runId ?? null,
    rejected: run.counts.rejected,
  };
}

function refuseOtherSource(db: Database, source: string, asked: string): void {
  if (asked === source) return;
  throw new ConfigurationError(
    `The newest run in ${db.described} took its events from ${source}, and these settings name ${asked}: nothing can be ` +
      'proven about a source by the run of another. Set API_BASE_URL, TARGET_API_KEY and DATABASE_URL, or --source with its description, as the run had them.',
  );
}

/**
 * The first thing that keeps what was proven from being believed now.
 * @param found `asked` is the total before the wait, `total` the newest, asked for when the rest was known
 */
function problemOf(
  found: Found & Readonly<Record<'asked' | 'total', number | null>>,
  target: Target,
  owner: OwnerReport | null,
): Problem | null {
  const { runId, runStatus, proof, rows, rowsRemembered, totalWhenProven, totalWhenTaken, takenSince } = found;
  const atWork = owner?.active === true ? `process ${owner.pid} on ${owner.host}` : null;
  const lasting = (text: string): Problem => ({ text, isPassing: false });
  if (runStatus !== 'complete') {
    const next = atWork === null ? 'npm start goes on with it' : `${atWork} works on it`;
    // Where nothing was proven before, it is no run over what is new, and may take hours.
    return { text: `Run ${runId} is not complete: ${next}.`, isPassing: atWork !== null && totalWhenProven !== null };
  }
  if (!isProven(proof)) {
    return lasting(
      `Run ${runId} was completed, and is ${proofText(proof)}: npm start proves what is new, ` +
        'npm start -- --full walks and proves everything.',
    );
  }
  if (rowsRemembered !== null && rows < rowsRemembered) {
    return lasting(
      `${rowsRemembered - rows} rows are gone: ${target.name} has ${rows}, and the job left ${rowsRemembered} in it. ` +
        'npm start -- --full takes what the API still has; npm start -- --accept-fewer-rows goes on without them.',
    );
  }
  if (totalWhenProven === null || totalWhenTaken === null) return null;
  const counted = totalWhenTaken - totalWhenProven;
  if (counted > takenSince) {
    return lasting(
      `The API counted ${counted} more events since the proof, and ${takenSince} were served: a job with --follow looks for the rest ` +
        'at its next proof, npm start does now.',
    );
  }
  const { asked, total, takenBehind } = found;
  if (asked === null || total === null) return null;
  const came = Math.min(asked, total - takenBehind) - totalWhenTaken;
  if (came <= 0) return null;
  const since = totalWhenTaken === totalWhenProven ? 'the proof' : 'the newest round of --follow';
  const next = atWork === null ? 'npm start takes what is new' : `${atWork} has not taken them yet`;
  return { text: `${came} events came since ${since}, or are missing: ${next}.`, isPassing: atWork !== null };
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

function describeTotal({ total, totalWhenProven, takenSince, takenBehind, problem, proof }: Verified): string {
  if (total === null)
    return 'How many events the API has now is not known: whether any came since the proof cannot be said.';
  if (totalWhenProven === null) {
    return `The API counts ${total} events now. What it counted at a proof is not known: whether any came since cannot be said.`;
  }
  const more = total - totalWhenProven;
  const isMissingNothing = problem === null && proof?.kind === 'count';
  const verdict = isMissingNothing ? ': nothing is missing, unless it has deleted as many as came' : '';
  if (more > 0) {
    const taken = takenSince + takenBehind;
    const since = taken === 0 ? '' : `; ${taken} were taken since${taken === more ? verdict : ''}`;
    return `The API counts ${total} events now, ${more} more than at the last proof of a run without limits${since}.`;
  }
  if (more < 0) {
    return (
      `The API counts ${total} events now, ${-more} fewer than at the proof: it deletes events, or keeps them for a limited ` +
      'time. The rows stay; whether new events came beside the deleted ones cannot be said.'
    );
  }
  return `The API counts ${total} events now, as many as at the proof${verdict}.`;
}
