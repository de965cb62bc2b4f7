/** `npm run status`: the newest run at a glance, and what a start would do. Changes nothing, waits for no job. */
import Table from 'cli-table3';
import type { Environment } from '../core/config.ts';
import type { ExitCode } from '../core/errors.ts';
import { isoText } from '../core/iso-text.ts';
import { isProven, roundOf, type Proof, type RunCounts } from '../core/state.ts';
import { sqlStateOf } from '../load/postgres/database-errors.ts';
import type { Database } from '../load/postgres/database.ts';
import type { Source } from '../load/schema/source.ts';
import { readTargetRows } from '../load/state/target-rows.ts';
import {
  readBaseRun,
  readNewestRun,
  readOwner,
  readWindows,
  type OwnerReport,
  type StoredRun,
} from '../load/state/run-reader.ts';
import { duration, proofText } from '../watch/page/texts.js';
import { reportCommand } from './report-command.ts';

/** How long counting waits for a merge that holds the table alone. */
const COUNT_PATIENCE_MS = 2_000;
const LOCK_NOT_AVAILABLE = '55P03';

interface StatusReport {
  readonly database: string;
  /** Name of the source, and its table. */
  readonly name: string;
  readonly table: string;
  /** Rows of the table; null while a merge holds the table alone, and before there is one. */
  readonly rows: number | null;
  /** The newest run is complete and proven, and no row is gone that a job has left: what is in the table can be passed on. */
  readonly finished: boolean;
  readonly run: RunReport | null;
  /** The job that works on the target right now. */
  readonly workedOnBy: { readonly host: string; readonly pid: number; readonly since: string } | null;
  /** Of all runs, and of rounds of --follow. */
  readonly newestEvent: string | null;
  readonly lagSeconds: number | null;
  /** When the newest round of --follow that took anything began; null where there is none. */
  readonly lastRoundAt: string | null;
  readonly lastProof: { readonly runId: number; readonly kind: Proof['kind']; readonly at: string } | null;
  /** One sentence. */
  readonly nextStart: string;
}

interface RunReport {
  readonly runId: number;
  readonly status: StoredRun['status'];
  readonly source: string;
  readonly since: string | null;
  readonly until: string | null;
  readonly startedAt: string;
  readonly lastMergeAt: string | null;
  readonly watermark: string | null;
  readonly pass: number;
  /** Events the API says the data set has. */
  readonly total: number | null;
  /** By what the run is proven complete; null when it is not. */
  readonly proof: Proof | null;
  /** Events served, of `total`; null when that is not known, or the run was not to take all of them. */
  readonly percent: number | null;
  readonly windows: { readonly count: number; readonly complete: number; readonly safePages: number };
  readonly counts: RunCounts;
}

/** The command; prints to stdout. */
export function status(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  return reportCommand(argv, environment, {
    name: 'status',
    description: 'The newest run at a glance, and what a start would do.',
    groups: [],
    work: async ({ db, source, settings, isJson }) => {
      const report = await readStatus(db, source, settings.lookback);
      process.stdout.write(`${isJson ? JSON.stringify(report, null, 2) : describeStatus(report)}\n`);
    },
  });
}

/** @param lookbackMs how far an incremental run would go back behind the watermark */
async function readStatus(db: Database, source: Source, lookbackMs: number): Promise<StatusReport> {
  const [{ rows, areGone }, newest, owner] = await Promise.all([
    countRows(db, source),
    readNewestRun(db, source),
    readOwner(db, source),
  ]);
  const address = newest?.source ?? '';
  const [latest, proven] = await Promise.all([
    readBaseRun(db, source, address, 'new-events'),
    readBaseRun(db, source, address, 'proof'),
  ]);
  const newestMs = latest?.watermarkMs ?? null;
  const run = newest === null ? null : await reportRun(db, newest);
  return {
    database: db.described,
    name: source.name,
    table: source.target.name,
    rows,
    finished: newest !== null && isFinished(newest) && !areGone,
    run,
    workedOnBy: owner?.active ? { host: owner.host, pid: owner.pid, since: isoText(owner.sinceMs) } : null,
    newestEvent: isoText(newestMs),
    lagSeconds: newestMs === null ? null : Math.round(Math.max(0, Date.now() - newestMs) / 1000),
    lastRoundAt: latest === null || roundOf(latest) === null ? null : isoText(latest.startedAtMs),
    lastProof:
      proven === null
        ? null
        : { runId: proven.runId, kind: proven.proof?.kind ?? 'none', at: isoText(proven.startedAtMs) },
    nextStart: describeNextStart(owner, run, proven, lookbackMs),
  };
}

/** `areGone`: there are fewer than the job left in it. */
async function countRows(
  db: Database,
  source: Source,
): Promise<{ readonly rows: number | null; readonly areGone: boolean }> {
  try {
    return await db.transaction('status', async (client) => {
      await client.query(`SET LOCAL lock_timeout = ${COUNT_PATIENCE_MS}`);
      const { rows: tables } = await client.query(`SELECT WHERE ${source.target.oid} IS NOT NULL`);
      const { rows, remembered } = await readTargetRows(client, source);
      return { rows: tables.length === 0 ? null : rows, areGone: remembered !== null && rows < remembered };
    });
  } catch (error) {
    if (sqlStateOf(error) === LOCK_NOT_AVAILABLE) return { rows: null, areGone: false };
    throw error;
  }
}

async function reportRun(db: Database, run: StoredRun): Promise<RunReport> {
  const windows = await readWindows(db, run.runId);
  return {
    runId: run.runId,
    status: run.status,
    source: run.source,
    since: isoText(run.sinceMs ?? run.incrementalSinceMs),
    until: isoText(run.untilMs),
    startedAt: isoText(run.startedAtMs),
    lastMergeAt: isoText(run.lastMergeAtMs),
    watermark: isoText(run.watermarkMs),
    pass: run.pass,
    total: run.passTotal,
    proof: run.proof,
    percent: percentOf(run),
    windows: {
      count: windows.length,
      complete: windows.filter((window) => window.complete).length,
      safePages: windows.reduce((sum, window) => sum + window.safePages, 0),
    },
    counts: run.counts,
  };
}

function isFinished(run: StoredRun): boolean {
  return run.status === 'complete' && isProven(run.proof);
}

/** 100 % only for a run that is proven complete: what was served can have been served twice. */
function percentOf(run: StoredRun): number | null {
  const takesAll = run.sinceMs === null && run.untilMs === null && run.incrementalSinceMs === null;
  if (!takesAll || run.passTotal === null) return null;
  if (isFinished(run)) return 100;
  const served = (run.counts.served / Math.max(1, run.passTotal)) * 100;
  return Math.floor(Math.min(99.9, served) * 10) / 10;
}

function describeNextStart(
  owner: OwnerReport | null,
  run: RunReport | null,
  proven: StoredRun | null,
  lookbackMs: number,
): string {
  if (owner?.active) return `would end at once with code 6: process ${owner.pid} on ${owner.host} is at work`;
  if (run?.status === 'running') {
    const open = run.windows.count - run.windows.complete;
    const left =
      open === 0 ? 'all was walked, and is to be proven' : `${open} of ${run.windows.count} windows are not finished`;
    return `would go on with run ${run.runId}: ${left}`;
  }
  const watermarkMs = proven?.watermarkMs ?? null;
  if (watermarkMs === null) return 'would begin a run over the whole data set';
  return `would take what is new since ${isoText(watermarkMs - lookbackMs)} (the watermark less the lookback)`;
}

/** For people: two columns. */
function describeStatus(report: StatusReport): string {
  const table = new Table({
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  const add = (name: string, value: string | null): void => {
    if (value !== null) table.push({ [name]: value });
  };
  const { run, workedOnBy } = report;
  add('database', report.database);
  add('table', `${report.table}, of the source ${report.name}`);
  add('rows', report.rows === null ? 'not counted: a merge is at work' : count(report.rows));
  if (run !== null) {
    add('run', `${run.runId}, ${run.status === 'running' ? 'not finished' : run.status}`);
    add('source', run.source);
    add('range', run.since === null && run.until === null ? null : `${run.since ?? '…'} to ${run.until ?? '…'}`);
    add('started', run.startedAt);
    add('last merge', run.lastMergeAt ?? 'none yet');
    add('watermark', run.watermark);
    add('proof', run.status === 'running' ? 'not yet: the run is not finished' : proofText(run.proof));
    add('progress', run.percent === null ? null : `${run.percent} % of ${count(run.total ?? 0)}, pass ${run.pass}`);
    add(
      'windows',
      `${run.windows.complete} of ${run.windows.count} finished, ${count(run.windows.safePages)} pages safe`,
    );
    const { served, inserted, updated, duplicates, rejected, repaired } = run.counts;
    const events = Object.entries({ served, inserted, updated, duplicates, rejected, repaired });
    add('events', events.map(([name, value]) => `${count(value)} ${name}`).join(', '));
  }
  if (report.lastRoundAt !== null) {
    add('following', `${duration(report.lagSeconds ?? 0)} behind, newest event ${report.newestEvent ?? 'unknown'}`);
    add('last round', report.lastRoundAt);
    add('last proof', report.lastProof === null ? 'none' : `run ${report.lastProof.runId}, ${report.lastProof.at}`);
  }
  add(
    'at work',
    workedOnBy === null ? 'nobody' : `process ${workedOnBy.pid} on ${workedOnBy.host} since ${workedOnBy.since}`,
  );
  add('next start', report.nextStart);
  return table.toString();
}

function count(value: number): string {
  return value.toLocaleString('en');
}
