/**
 * A program in a real pseudo-terminal (`script` of util-linux), byte for byte as the terminal gets it: `Program` of the
 * test support reads whole lines, and a progress bar never ends its line.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { PROJECT_FOLDER } from '../../support/processes.ts';

/** Only turns a hanging test into one that says why. */
const GIVE_UP_MS = 30_000;
export const ROWS = 24;

export class TerminalSession {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;
  #output = '';

  constructor(t: TestContext, command: string, columns: number) {
    const shell = `stty cols ${columns} rows ${ROWS} -echo; tty; exec ${command}`;
    const { PATH, HOME, TMPDIR } = process.env;
    this.#child = spawn('script', ['-qefc', shell, '/dev/null'], {
      cwd: PROJECT_FOLDER,
      env: { PATH, HOME, TMPDIR, TERM: 'xterm', SHELL: '/bin/sh', LANG: 'C.UTF-8' },
    });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#closed = once(this.#child, 'close');
    t.after(async () => {
      // script's own end hangs its terminal up, which ends what runs inside.
      this.#child.kill('SIGTERM');
      await this.#closed;
    });
  }

  /** All that the terminal got. */
  get output(): string {
    return this.#output;
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Asks after each piece of output until the answer is not `null`. */
  async waitFor<T>(answer: () => T | null, what: string): Promise<T> {
    const signal = AbortSignal.timeout(GIVE_UP_MS);
    for (;;) {
      const found = answer();
      if (found !== null) return found;
      try {
        await once(this.#child.stdout, 'data', { signal });
      } catch (error) {
        throw new Error(`waited for ${what}; the terminal got:\n${this.#output}`, { cause: error });
      }
    }
  }

  /** Waits for a text after a place in the output; answers with where it begins. */
  waitForText(text: string | RegExp, from = 0): Promise<number> {
    return this.waitFor(() => {
      const output = this.#output.slice(from);
      const at = typeof text === 'string' ? output.indexOf(text) : output.search(text);
      return at < 0 ? null : from + at;
    }, String(text));
  }

  /** Closes the terminal, as somebody does who closes its window. */
  hangUp(): void {
    this.#child.kill('SIGKILL');
  }

  async waitForExit(): Promise<number | null> {
    await this.#closed;
    return this.#child.exitCode;
  }
}
