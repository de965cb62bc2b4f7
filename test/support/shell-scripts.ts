/**
 * Runs the project's shell scripts in a folder of their own. Their PATH has the programs that every Linux has, and the
 * stand-ins that the test chooses: this machine's Docker or curl is not there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { PROJECT_FOLDER, startProgram, type Program } from './processes.ts';

/** The programs that the scripts may use: POSIX, and mktemp. */
const SYSTEM_PROGRAMS =
  'sh awk basename cat chmod cut date dirname grep head ls mkdir mkfifo mktemp mv rm sed sleep sort tail tr uniq wc'.split(
    ' ',
  );

export class ScriptFolder {
  /** The folder of the script, and of `.env` and `.data`. */
  readonly path: string;
  /** The folder that stand-ins read and write. */
  readonly standIn: string;
  readonly #bin: string;
  readonly #t: TestContext;

  private constructor(t: TestContext, path: string) {
    this.#t = t;
    this.path = join(path, 'project');
    this.standIn = join(path, 'stand-in');
    this.#bin = join(path, 'bin');
  }

  static async create(t: TestContext, scripts: readonly string[]): Promise<ScriptFolder> {
    const root = await mkdtemp(join(tmpdir(), 'datasync-scripts-'));
    // Registered first, so it runs before the test's programs are ended: they do not need the folder any more.
    t.after(() => rm(root, { recursive: true, force: true }));
    const folder = new ScriptFolder(t, root);
    for (const path of [folder.path, folder.standIn, folder.#bin]) await mkdir(path);
    for (const name of SYSTEM_PROGRAMS) await folder.#link(name);
    for (const script of scripts) await copyFile(join(PROJECT_FOLDER, script), join(folder.path, script));
    return folder;
  }

  /** Puts a stand-in on the PATH; it does what the files in {@link standIn} say. */
  async useStandIn(name: 'docker' | 'curl' | 'npm'): Promise<void> {
    await copyFile(join(PROJECT_FOLDER, 'test/support/stand-ins', name), join(this.#bin, name));
  }

  /** Puts a program of this machine on the PATH. @returns false when there is none */
  async useReal(name: string): Promise<boolean> {
    return this.#link(name);
  }

  /** Writes a file beside the script. */
  async write(name: string, content: string): Promise<void> {
    await writeFile(join(this.path, name), content);
  }

  async prepare(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) await writeFile(join(this.standIn, name), content);
  }

  /** @returns a file that a stand-in wrote; empty when it was not called */
  async kept(name: string): Promise<string> {
    const path = join(this.standIn, name);
    return existsSync(path) ? readFile(path, 'utf8') : '';
  }

  /** Starts `sh <script> <args>`, as in the README. */
  start(script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Program {
    return startProgram(this.#t, [join(this.#bin, 'sh'), script, ...args], {
      cwd: this.path,
      env: { PATH: this.#bin, STAND_IN: this.standIn, ...env },
    });
  }

  /** Starts the script in a terminal. Needs {@link useReal} of `script`. */
  startInTerminal(script: string, args: readonly string[]): Program {
    const command = [join(this.#bin, 'sh'), script, ...args].map((word) => `'${word}'`).join(' ');
    return startProgram(
      this.#t,
      [join(this.#bin, 'script'), '--quiet', '--return', '--command', command, '/dev/null'],
      {
        cwd: this.path,
        env: { PATH: this.#bin, STAND_IN: this.standIn, SHELL: join(this.#bin, 'sh') },
      },
    );
  }

  async run(
    script: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const program = this.start(script, args, env);
    const { code } = await program.waitForExit();
    return { code, stdout: program.stdout, stderr: program.stderr };
  }

  async #link(name: string): Promise<boolean> {
    const found = (process.env['PATH'] ?? '')
      .split(delimiter)
      .map((folder) => join(folder, name))
      .find((path) => existsSync(path));
    if (found === undefined) return false;
    await symlink(found, join(this.#bin, name));
    return true;
  }
}

/** @returns what a shell reports about the script's syntax; empty when it is correct */
export function syntaxErrors(script: string): string {
  return spawnSync('sh', ['-n', join(PROJECT_FOLDER, script)], { encoding: 'utf8' }).stderr;
}
