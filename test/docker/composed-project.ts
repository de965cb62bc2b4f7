/** A copy of the project in a folder of its own, with its own name and ports, for tests that need a real container engine. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PROJECT_FOLDER } from '../support/processes.ts';

const FILES = [
  'Dockerfile',
  '.dockerignore',
  'docker-compose.yml',
  'docker',
  'docs',
  'package.json',
  'package-lock.json',
  '.npmrc',
  'tsconfig.json',
  'src',
  'sources',
  'workers',
  'run-ingestion.sh',
  'submit.sh',
];
const MAX_POLLS = 300;
const POLL_MS = 200;

export interface Ended {
  readonly code: number | null;
  /** What it wrote to stdout and stderr. */
  readonly output: string;
}

/** `false`, or why tests with Docker are skipped. The job's two containers have fixed names: nobody else's are touched. */
export function whyNoDocker(): string | false {
  if (spawnSync('docker', ['info']).status !== 0) return 'there is no container engine here';
  if (spawnSync('docker', ['compose', 'version']).status !== 0) return 'Docker Compose version 2 is not installed';
  const { stdout } = spawnSync('docker', ['ps', '--all', '--format', '{{.Names}}'], { encoding: 'utf8' });
  const taken = stdout.split('\n').filter((name) => name === 'assignment-ingestion' || name === 'assignment-postgres');
  return taken.length > 0 && `there are containers ${taken.join(' and ')} already`;
}

export interface Started {
  /** As Ctrl-C does. */
  readonly interrupt: () => void;
  readonly end: () => Promise<Ended>;
}

export class ComposedProject {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(folder: string, environment: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#environment = { ...process.env, ...environment };
  }

  /** @param environment of every command; Compose takes its project's name, files and ports from there */
  static async create(environment: Readonly<Record<string, string>>): Promise<ComposedProject> {
    const folder = await mkdtemp(join(tmpdir(), 'datasync-docker-'));
    for (const file of FILES) await cp(join(PROJECT_FOLDER, file), join(folder, file), { recursive: true });
    return new ComposedProject(folder, environment);
  }

  /** The engine that the tests ran on. */
  engine(): string {
    const format = 'Docker {{.ServerVersion}}, {{.OperatingSystem}}, {{.Driver}}, {{.NCPU}} processors';
    return `${this.line(`docker info --format '${format}'`)}, Compose ${this.line('docker compose version --short')}`;
  }

  async remove(): Promise<void> {
    this.#run('docker compose --profile demo --profile follow down --volumes --timeout 20');
    await rm(this.folder, { recursive: true, force: true });
  }

  async write(name: string, content: string): Promise<void> {
    await writeFile(join(this.folder, name), content);
  }

  async read(name: string): Promise<string> {
    return readFile(join(this.folder, name), 'utf8');
  }

  /** A line of a user's shell that must end with 0. @returns what it wrote to stdout */
  line(command: string, environment: Readonly<Record<string, string>> = {}): string {
    const { status, stdout, stderr } = this.#run(command, environment);
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`);
    return stdout.trim();
  }

  /** A line of a user's shell, whatever its code. */
  ends(command: string, environment: Readonly<Record<string, string>> = {}): Ended {
    const { status, stdout, stderr } = this.#run(command, environment);
    return { code: status, output: stdout + stderr };
  }

  /** Starts a program as a user's shell would; it is ended with the test. */
  start(t: TestContext, command: string, environment: Readonly<Record<string, string>> = {}): Started {
    const child = spawn('sh', ['-c', `exec ${command} 2>&1`], {
      cwd: this.folder,
      env: { ...this.#environment, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill());
    const output = text(child.stdout);
    const exited = once(child, 'exit');
    return {
      interrupt: () => child.kill('SIGINT'),
      end: async () => {
        await exited;
        return { code: child.exitCode, output: await output };
      },
    };
  }

  /** Waits until a container has logged `words` since its last start. */
  async untilLogged(words: string, container = 'assignment-ingestion'): Promise<void> {
    const since = `$(docker inspect --format '{{.State.StartedAt}}' ${container})`;
    let logged = '';
    for (let poll = 0; poll < MAX_POLLS; poll += 1) {
      const { code, output } = this.ends(`docker logs --since "${since}" ${container}`);
      if (code === 0 && output.includes(words)) return;
      logged = output;
      await delay(POLL_MS);
    }
    assert.fail(`${container} has not logged ${words}\n${logged}`);
  }

  #run(command: string, environment: Readonly<Record<string, string>> = {}) {
    return spawnSync('sh', ['-c', command], {
      cwd: this.folder,
      env: { ...this.#environment, ...environment },
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
  }
}
