/**
 * Starts programs of this project as people do, and watches them from outside: log lines, signals, exit codes.
 * A program never outlives the test that started it.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

export const PROJECT_FOLDER = fileURLToPath(new URL('../..', import.meta.url));

/** Longer than any wait of a test: it only turns a hanging test into one that says what it waited for. */
const GIVE_UP_MS = 120_000;

/** A line of the JSON log: `msg`, `level`, and the message's fields. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: unknown };

export interface ProgramOptions {
  /** Added to a bare environment (PATH, HOME, TMPDIR), without the test's own variables. `undefined` removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface ProgramExit {
  /** As in a shell: 128 + the signal's number when a signal ended it. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = {
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGTERM: 15,
};

export class Program {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #name: string;
  readonly #exit: Promise<ProgramExit>;
  #ended: ProgramExit | null = null;
  #stdout = '';
  #stderr = '';
  readonly #lines: LogLine[] = [];
  readonly #notJson: string[] = [];
  readonly #listeners = new Set<() => void>();

  /** @param command first the program, then its arguments */
  constructor(command: readonly [string, ...string[]], options: ProgramOptions) {
    const [file, ...args] = command;
    this.#name = command.join(' ');
    this.#child = spawn(file, args, {
      cwd: options.cwd ?? PROJECT_FOLDER,
      env: environment(options.env ?? {}),
      // Its own process group: a signal to the group does what Ctrl-C in a terminal does.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#changed();
    });
    createInterface({ input: this.#child.stdout, crlfDelay: Infinity }).on('line', (line) => {
      this.#readLine(line);
    });
    this.#exit = this.#untilClosed();
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} was not started`);
    return this.#child.pid;
  }

  /** Lines of stdout that are JSON objects. */
  get logs(): readonly LogLine[] {
    return this.#lines;
  }

  /** Lines of stdout that are not JSON objects. */
  get notJson(): readonly string[] {
    return this.#notJson;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get ended(): ProgramExit | null {
    return this.#ended;
  }

  /** Waits for a line that fits, or finds an earlier one. @throws with the output when the program ends or gives no such line */
  waitForLog(fits: (line: LogLine) => boolean, what = 'the log line'): Promise<LogLine> {
    return this.waitFor(() => this.#lines.find(fits), what);
  }

  /** Waits for a line of stdout that fits, JSON or not. */
  waitForLine(fits: RegExp): Promise<string> {
    return this.waitFor(
      () =>
        this.#stdout
          .split('\n')
          .slice(0, -1)
          .find((line) => fits.test(line)),
      String(fits),
    );
  }

  /** Asks after every piece of output, until the answer is neither `undefined` nor `false`. */
  waitFor<T>(answer: () => T | undefined | false, what: string): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(check);
        settle();
      };
      const fail = (why: string): void => {
        end(() => {
          reject(new Error(`${this.#name}: waited for ${what}, but ${why}\n${this.#output()}`));
        });
      };
      const check = (): void => {
        const found = answer();
        if (found !== undefined && found !== false) {
          end(() => {
            resolve(found);
          });
        } else if (this.#ended !== null) {
          fail(`it ended with code ${this.#ended.code}`);
        }
      };
      const timer = setTimeout(() => {
        fail(`nothing came in ${GIVE_UP_MS / 1000} s`);
      }, GIVE_UP_MS);
      this.#listeners.add(check);
      check();
    });
  }

  /** Writes to its standard input. */
  write(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Signals only the started process. Does nothing when it has ended. */
  kill(signal: NodeJS.Signals): void {
    if (this.#ended === null) this.#child.kill(signal);
  }

  /** Signals its whole process group, as Ctrl-C in a terminal does. */
  killGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  /** Resolves when it has ended and all its output is read. @throws with its output when it does not end */
  async waitForExit(): Promise<ProgramExit> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`${this.#name} did not end in ${GIVE_UP_MS / 1000} s\n${this.#output()}`));
      }, GIVE_UP_MS);
    });
    try {
      return await Promise.race([this.#exit, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #untilClosed(): Promise<ProgramExit> {
    return new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        this.#ended = { code: code ?? 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0)), signal };
        this.#changed();
        resolve(this.#ended);
      });
    });
  }

  #readLine(line: string): void {
    this.#stdout += `${line}\n`;
    const parsed = parseObject(line);
    if (parsed === null) this.#notJson.push(line);
    else this.#lines.push(parsed);
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #output(): string {
    return `stdout:\n${this.#stdout.slice(-4000)}\nstderr:\n${this.#stderr.slice(-4000)}`;
  }
}

function parseObject(line: string): LogLine | null {
  if (!line.startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An empty variable counts as not set, and a developer's own .env does not override it. */
const NOT_FROM_DOT_ENV = { DATABASE_URL: '', TARGET_API_KEY: '', API_BASE_URL: '', DATA_DIR: '', HTTP_PORT: '' };

function environment(added: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  const bare = { PATH, HOME, TMPDIR, ...NOT_FROM_DOT_ENV, ...added };
  return Object.fromEntries(Object.entries(bare).filter(([, value]) => value !== undefined));
}

/** Starts any program. When the test ends, it is killed with its process group. */
export function startProgram(
  t: TestContext,
  command: readonly [string, ...string[]],
  options: ProgramOptions = {},
): Program {
  const program = new Program(command, options);
  t.after(async () => {
    program.killGroup('SIGKILL');
    await program.waitForExit();
  });
  return program;
}

/** Starts `npm run <script> -- <flags>` as a person does, through npm and its shell. */
export function startNpm(
  t: TestContext,
  script: string,
  flags: readonly string[] = [],
  options: ProgramOptions = {},
): Program {
  return startProgram(t, ['npm', 'run', '--silent', script, ...(flags.length > 0 ? ['--', ...flags] : [])], options);
}

/** Starts `node --import tsx src/main.ts <args>`: half a second faster than npm, and signals go to node itself. */
export function startMain(t: TestContext, args: readonly string[] = [], options: ProgramOptions = {}): Program {
  return startProgram(t, [process.execPath, '--import', 'tsx', 'src/main.ts', ...args], options);
}

/** Starts a TypeScript file of the tests. */
export function startScript(
  t: TestContext,
  file: string,
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Program {
  return startProgram(t, [process.execPath, '--import', 'tsx', file, ...args], options);
}
