/**
 * Runs the project's shell scripts in a folder of their own, with a PATH that has what every Linux has and the stand-ins
 * a test chooses: nothing of this machine's Docker or curl gets in.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { PROJECT_FOLDER, startProgram, type Program } from './processes.ts';

/** What the scripts may count on: POSIX, and mktemp. */
const SYSTEM_PROGRAMS =
  'sh awk basename cat chmod cut date dirname grep head ls mkdir mkfifo mktemp mv rm sed sleep sort tail tr uniq wc'.split(
    ' ',
  );

export class ScriptFolder {
  /** Where the script is, with `.env` and `.data` beside it. */
  readonly path: string;
  /** What the stand-ins read and write. */
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
    // Registered first, so done before the programs of the test are ended: nothing in it is needed by then.
    t.after(() => rm(root, { recursive: true, force: true }));
    const folder = new ScriptFolder(t, root);
    for (const path of [folder.path, folder.standIn, folder.#bin]) await mkdir(path);
    for (const name of SYSTEM_PROGRAMS) await folder.#link(name);
    for (const script of scripts) await copyFile(join(PROJECT_FOLDER, script), join(folder.path, script));
    return folder;
  }

  /** A program that does what the files in {@link standIn} say. */
  async useStandIn(name: 'docker' | 'curl' | 'npm'): Promise<void> {
    await copyFile(join(PROJECT_FOLDER, 'test/support/stand-ins', name), join(this.#bin, name));
  }

  /** The program of this machine; false when it has none. */
  async useReal(name: string): Promise<boolean> {
    return this.#link(name);
  }

  /** A file beside the script. */
  async write(name: string, content: string): Promise<void> {
    await writeFile(join(this.path, name), content);
  }

  async prepare(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, content] of Object.entries(files)) await writeFile(join(this.standIn, name), content);
  }

  /** What a stand-in kept; empty when it was not called. */
  async kept(name: string): Promise<string> {
    const path = join(this.standIn, name);
    return existsSync(path) ? readFile(path, 'utf8') : '';
  }

  /** `sh <script> <args>`, as in the README. */
  start(script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Program {
    return startProgram(this.#t, [join(this.#bin, 'sh'), script, ...args], {
      cwd: this.path,
      env: { PATH: this.#bin, STAND_IN: this.standIn, ...env },
    });
  }

  /** The same in a terminal of its own; the program `script` must be in use. */
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

/** Whether a shell can read the script at all. @returns what it complains about */
export function syntaxErrors(script: string): string {
  return spawnSync('sh', ['-n', join(PROJECT_FOLDER, script)], { encoding: 'utf8' }).stderr;
}
