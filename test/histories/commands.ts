/** The program's commands, started in this process or as a person does, and what came of them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { IngestionJob } from '../../src/app/ingestion-job.ts';
import { openSource } from '../../src/app/run/job-source.ts';
import { exportIds } from '../../src/commands/export-ids.ts';
import { verify } from '../../src/commands/verify.ts';
import { commandLine, readSettings, secretsOf } from '../../src/core/config.ts';
import { EXIT_CODES, JobError, exitCodeOf } from '../../src/core/errors.ts';
import { SETTING_GROUPS } from '../../src/core/settings-table.ts';
import { runCommand } from '../support/command-output.ts';
import { Program, PROJECT_FOLDER } from '../support/processes.ts';
import { API_KEY } from './api-server.ts';

export interface CommandEnd {
  readonly code: number;
  /** The last line that says why, or what the command printed. */
  readonly message: string;
  readonly log: readonly string[];
}

export interface CommandTarget {
  readonly baseUrl: string;
  readonly databaseUrl: string;
  /** Faults are on the way: gives up soon. Else only a job that hangs would. */
  readonly isTroubled: boolean;
  /** How many different events the API has served since the start began. */
  readonly served: () => number;
}

export interface RunningStart {
  readonly end: Promise<CommandEnd>;
  /** No further pages; what has arrived is merged. */
  drain(): void;
  kill(): void;
}

/** A start that is served nothing new for as long hangs: a poor API can make it slow. */
const HANGS_AFTER_MS = 60_000;

/** @param log copied: it may go on */
function hangs(log: readonly string[]): CommandEnd {
  return { code: -1, message: `was served nothing new for ${HANGS_AFTER_MS / 1000} s, and did not end`, log: [...log] };
}

function variables({ baseUrl, databaseUrl, isTroubled }: CommandTarget): Record<string, string> {
  return {
    API_BASE_URL: baseUrl,
    DATABASE_URL: databaseUrl,
    TARGET_API_KEY: API_KEY,
    WORKER_THREADS: '1',
    DB_CONNECTIONS: '2',
    MAX_WAIT: isTroubled ? '6' : '50',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'debug',
  };
}

/** The job itself, in this process. It cannot be killed. */
export function startHere(target: CommandTarget, argv: readonly string[]): RunningStart {
  const log: string[] = [];
  const logger = pino({ level: 'debug', base: null }, { write: (line: string) => log.push(line.trimEnd()) });
  let job: IngestionJob | null = null;
  let isStopped = false;
  const work = async (): Promise<CommandEnd> => {
    try {
      const settings = readSettings(
        commandLine('test', 'a start of a history', SETTING_GROUPS),
        argv,
        variables(target),
      );
      const source = await openSource(settings, false, logger);
      job = new IngestionJob({ settings, source, logger, secrets: secretsOf(settings), onSecret: () => undefined });
      const { outcome } = await job.run();
      const code = outcome === 'complete' ? EXIT_CODES.complete : EXIT_CODES.terminated;
      return { code, message: outcome, log };
    } catch (error) {
      return { code: exitCodeOf(error), message: describe(error), log };
    }
  };
  return {
    end: inTime(work(), target.served, () => hangs(log)),
    drain: () => {
      // Two signals are two signals: a history sends one.
      if (!isStopped) job?.stop();
      isStopped = true;
    },
    kill: () => {
      throw new Error('a job in this process cannot be killed');
    },
  };
}

/** `node --import tsx src/main.ts`: a process of its own. */
export function startProcess(target: CommandTarget, argv: readonly string[]): RunningStart {
  const program = new Program([process.execPath, '--import', 'tsx', 'src/main.ts', ...argv], {
    env: variables(target),
    cwd: PROJECT_FOLDER,
  });
  const work = async (): Promise<CommandEnd> => {
    const { code } = await program.waitForExit();
    const last = program.logs.at(-1)?.msg;
    return {
      code,
      message: `${typeof last === 'string' ? last : ''}${program.stderr}`,
      log: program.stdout.trimEnd().split('\n'),
    };
  };
  const end = inTime(work(), target.served, () => {
    program.killGroup('SIGKILL');
    return hangs(program.stdout.trimEnd().split('\n'));
  });
  return {
    end,
    drain: () => {
      program.kill('SIGTERM');
    },
    kill: () => {
      program.killGroup('SIGKILL');
    },
  };
}

function describe(error: unknown): string {
  // Where an error of the job's own comes from does not matter to whoever reads it.
  return error instanceof JobError
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
}

/** `npm run verify`, in this process. */
export async function verifyHere(target: CommandTarget): Promise<CommandEnd> {
  return endOf(() => verify([], reading(target)));
}

export interface Exported extends CommandEnd {
  /** `null`: no file was written. */
  readonly ids: readonly string[] | null;
}

/** `npm run export-ids`, in this process. */
export async function exportHere(target: CommandTarget): Promise<Exported> {
  const folder = await mkdtemp(join(tmpdir(), 'datasync-history-'));
  const file = join(folder, 'ids.txt');
  try {
    const end = await endOf(() => exportIds(['--output', file], reading(target)));
    const text = await readFile(file, 'utf8').catch(() => null);
    return { ...end, ids: text === null ? null : text.split('\n').slice(0, -1) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function reading(target: CommandTarget): Record<string, string> {
  return { ...variables(target), LOG_LEVEL: 'warn' };
}

async function endOf(command: () => Promise<number>): Promise<CommandEnd> {
  const { code, stdout, stderr } = await runCommand(command);
  return { code, message: `${stdout}${stderr}`, log: [stdout, stderr] };
}

async function inTime<T>(work: Promise<T>, served: () => number, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<T>((resolve) => {
    const look = (before: number): void => {
      timer = setTimeout(() => {
        const now = served();
        if (now > before) look(now);
        else resolve(late());
      }, HANGS_AFTER_MS);
    };
    look(0);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
