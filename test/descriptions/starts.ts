/** Starts of a described source, in this process or as a person does it, and what came of them. */
import { setTimeout as delay } from 'node:timers/promises';
import { describedJob } from '../support/described-job.ts';
import { EXIT_CODES, exitCodeOf, JobError } from '../../src/core/errors.ts';
import type { IngestionJob } from '../../src/app/ingestion-job.ts';
import { Program, PROJECT_FOLDER } from '../support/processes.ts';
import { KEY, USER, type Start } from './drawn-case.ts';

export interface StartEnd {
  readonly code: number;
  /** Why it failed; empty when it did not. */
  readonly reason: string;
  readonly log: readonly string[];
}

export interface StartTarget {
  readonly origin: string;
  readonly databaseUrl: string;
  readonly description: string;
  /** The description as a file, for a process. */
  readonly file: string;
  readonly hasWrongKey: boolean;
  /** A fault stays: gives up soon. */
  readonly givesUpSoon: boolean;
  readonly hasVersions: boolean;
}

export interface RunningStart {
  readonly end: Promise<StartEnd>;
  drain(): void;
  kill(): void;
}

/** A start that takes longer hangs. */
const HANGS_AFTER_MS = 90_000;
const WAITS = { backoff: { baseMs: 20, capMs: 500 } };

function settingsOf({ databaseUrl, givesUpSoon }: StartTarget): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    WORKER_THREADS: '1',
    DB_CONNECTIONS: '2',
    MAX_WAIT: givesUpSoon ? '4' : '30',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'debug',
  };
}

function variablesOf({ origin, hasWrongKey }: StartTarget): Record<string, string> {
  return { API: origin, KEY: hasWrongKey ? 'another-key' : KEY, USER_NAME: USER };
}

export function argvOf({ flags }: Start, { hasVersions }: StartTarget): string[] {
  return [
    '--concurrency',
    String(flags.concurrency),
    ...(flags.pageSize === null ? [] : ['--page-size', String(flags.pageSize)]),
    ...(flags.full ? ['--full'] : []),
    ...(flags.mergeInterval ? ['--merge-interval', '1'] : []),
    ...(hasVersions ? ['--on-conflict', 'update'] : []),
  ];
}

/** The job itself, in this process. It cannot be killed. */
export function startHere(target: StartTarget, argv: readonly string[]): RunningStart {
  const log: string[] = [];
  let job: IngestionJob | null = null;
  let isStopped = false;
  const work = async (): Promise<StartEnd> => {
    try {
      job = await describedJob(
        {
          text: target.description,
          variables: variablesOf(target),
          settings: settingsOf(target),
          flags: argv,
          waits: WAITS,
        },
        log,
      );
      if (isStopped) job.stop();
      const { outcome } = await job.run();
      return { code: outcome === 'complete' ? EXIT_CODES.complete : EXIT_CODES.terminated, reason: outcome, log };
    } catch (error) {
      const reason =
        error instanceof JobError ? error.message : error instanceof Error ? (error.stack ?? '') : String(error);
      return { code: exitCodeOf(error), reason, log };
    }
  };
  return {
    end: inTime(work(), log),
    drain: () => {
      // Two signals are two signals: a case sends one.
      if (!isStopped) job?.stop();
      isStopped = true;
    },
    kill: () => {
      throw new Error('a job in this process cannot be killed');
    },
  };
}

/** `node --import tsx src/main.ts`: a process of its own. */
export function startProcess(target: StartTarget, argv: readonly string[]): RunningStart {
  const program = new Program([process.execPath, '--import', 'tsx', 'src/main.ts', '--source', target.file, ...argv], {
    env: { ...settingsOf(target), ...variablesOf(target) },
    cwd: PROJECT_FOLDER,
  });
  const work = async (): Promise<StartEnd> => {
    const { code } = await program.waitForExit();
    const last = program.logs.at(-1)?.msg;
    return {
      code,
      reason: `${typeof last === 'string' ? last : ''}${program.stderr}`,
      log: program.stdout.trimEnd().split('\n'),
    };
  };
  return {
    end: inTime(work(), [], () => {
      program.killGroup('SIGKILL');
    }),
    drain: () => {
      program.kill('SIGTERM');
    },
    kill: () => {
      program.killGroup('SIGKILL');
    },
  };
}

async function inTime(
  work: Promise<StartEnd>,
  log: readonly string[],
  onLate: () => void = () => undefined,
): Promise<StartEnd> {
  const ended = new AbortController();
  const late = async (): Promise<StartEnd> => {
    await delay(HANGS_AFTER_MS, undefined, { signal: ended.signal });
    onLate();
    return { code: -1, reason: `did not end in ${HANGS_AFTER_MS / 1000} s`, log: [...log] };
  };
  const limit = late();
  limit.catch(() => undefined);
  try {
    return await Promise.race([work, limit]);
  } finally {
    ended.abort();
  }
}
