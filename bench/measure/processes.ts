/** Programs of a benchmark: each is a process of its own, and ends with the benchmark, however that ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** The kernel's clock in /proc: always 100 ticks a second for user space. */
const TICKS_PER_SECOND = 100;
const KEPT_STDERR_CHARACTERS = 4_000;
const ROOT = new URL('../..', import.meta.url).pathname;

export type JsonLine = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called for every line of stdout. */
  readonly onLine?: (line: string) => void;
}

export interface ProgramEnd {
  readonly code: number;
  /** Epoch ms. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Lines of stdout that are JSON objects. */
  readonly lines: readonly JsonLine[];
}

const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) killGroup(child, 'SIGKILL');
});

/** Each program leads a process group, so that a signal also reaches what `npm` started. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

/** A bare environment and the given variables: settings of the caller's shell must not change a figure. */
function environment(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR, NO_UPDATE_NOTIFIER: '1', ...added };
}

export class RunningProgram {
  readonly startedAtMs = Date.now();
  readonly pid: number;
  readonly ended: Promise<ProgramEnd>;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #lines: JsonLine[] = [];
  #stderr = '';

  constructor(command: readonly [string, ...string[]], options: ProgramOptions = {}) {
    const [program, ...args] = command;
    this.#name = command.join(' ');
    const child = spawn(program, args, {
      cwd: options.cwd ?? ROOT,
      env: environment(options.env ?? {}),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.pid = child.pid ?? -1;
    living.add(child);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARACTERS);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const parsed = parseLine(line);
      if (parsed !== null) this.#lines.push(parsed);
      options.onLine?.(line);
    });
    this.ended = new Promise((resolve, reject) => {
      let endedAtMs = 0;
      child.once('error', reject);
      child.once('exit', () => {
        endedAtMs = Date.now();
      });
      child.once('close', (code) => {
        living.delete(child);
        resolve({ code: code ?? 128, startedAtMs: this.startedAtMs, endedAtMs, lines: this.#lines });
      });
    });
  }

  kill(signal: NodeJS.Signals): void {
    killGroup(this.#child, signal);
  }

  /** @throws Error with the end of stdout and stderr when the exit code is not 0 */
  async succeeded(): Promise<ProgramEnd> {
    const end = await this.ended;
    if (end.code === 0) return end;
    const lastLines = end.lines.slice(-5).map((line) => JSON.stringify(line));
    throw new Error(`${this.#name} ended with ${end.code}\n${[...lastLines, this.#stderr].join('\n')}`);
  }
}

/** Starts a TypeScript program of the benchmark in a fresh node process. */
export function startScript(
  file: string,
  args: readonly string[] = [],
  options: ProgramOptions & { readonly nodeFlags?: readonly string[] } = {},
): RunningProgram {
  const { nodeFlags = [], ...rest } = options;
  return new RunningProgram([process.execPath, ...nodeFlags, '--import', 'tsx', file, ...args], rest);
}

/** CPU seconds of a living process with all its threads; null when it has ended, or the system has no /proc. */
export async function cpuSecondsOf(pid: number): Promise<number | null> {
  const fields = await statFields(pid);
  return fields === null ? null : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU seconds of those children of a process that have ended. */
export async function reapedCpuSecondsOf(pid: number): Promise<number | null> {
  const fields = await statFields(pid);
  return fields === null ? null : (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

export async function parentOf(pid: number): Promise<number | null> {
  const fields = await statFields(pid);
  return fields === null ? null : Number(fields[1]);
}

/** Fields of /proc/<pid>/stat from the third on: the second one may contain spaces. */
async function statFields(pid: number): Promise<string[] | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

function parseLine(line: string): JsonLine | null {
  if (!line.startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as JsonLine) : null;
  } catch {
    return null;
  }
}
