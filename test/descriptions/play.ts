/** Plays one case, and holds every end against the law. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { stringify } from 'yaml';
import { KEY, type Case, type Start } from './drawn-case.ts';
import { DrawnApi } from './drawn-api.ts';
import type { Entry } from './drawn-list.ts';
import { givenWords } from './fitting.ts';
import { isAt } from './drawn-records.ts';
import {
  checkEnd,
  checkRows,
  hidesDisorder,
  mayBeIncremental,
  mayBeParallel,
  mayNeverEnd,
  maySkip,
  type Breach,
} from './law.ts';
import { readRows, type Rows } from './rows.ts';
import { argvOf, startHere, startProcess, type StartEnd } from './starts.ts';

export interface Played {
  readonly breach: Breach | null;
  readonly ends: readonly { readonly what: string; readonly end: StartEnd; readonly requests: readonly string[] }[];
}

const CALM: Start = {
  flags: { concurrency: 4, pageSize: null, full: false, mergeInterval: false },
  hasWrongKey: false,
  faults: [],
  changes: [],
  end: { how: 'runs', atRequest: 0, delayMs: 0 },
};
/** How often a healed API may be started until a run ends with 0. */
const HEALED_STARTS = 4;

export async function play(drawn: Case, databaseUrl: string): Promise<Played> {
  const api = await DrawnApi.open(drawn);
  const folder = await mkdtemp(join(tmpdir(), 'descriptions-'));
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  pool.on('error', () => undefined);
  try {
    const description = stringify(givenWords(drawn), { aliasDuplicateObjects: false });
    const file = join(folder, 'drawn.yaml');
    await writeFile(file, description);
    const player = new Player(drawn, { api, pool, databaseUrl, description, file });
    const breach = await player.playAll();
    return { breach, ends: player.ends };
  } finally {
    await pool.end();
    await api.close();
    await rm(folder, { recursive: true });
  }
}

interface Scene {
  readonly api: DrawnApi;
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  readonly description: string;
  readonly file: string;
}

class Player {
  readonly ends: { what: string; end: StartEnd; requests: readonly string[] }[] = [];
  readonly #case: Case;
  readonly #scene: Scene;
  /** The deed with which the unfinished run began; `null`: none is unfinished. */
  #begunAt: number | null = null;
  /** While pages were counted, something vanished or moved: others may never come. */
  #hasSkipped = false;

  constructor(drawn: Case, scene: Scene) {
    this.#case = drawn;
    this.#scene = scene;
  }

  async playAll(): Promise<Breach | null> {
    for (const start of this.#case.starts) {
      const { breach } = await this.#start(start);
      if (breach !== null) return breach;
    }
    return this.#heal();
  }

  /** Whatever has happened: with a healed API a few starts end with 0, and one more has everything that there is. */
  async #heal(): Promise<Breach | null> {
    const { list } = this.#scene.api;
    this.#scene.api.heal();
    const isCalm = this.#case.starts.every(
      ({ hasWrongKey, faults, changes, end }) =>
        !hasWrongKey && faults.length + changes.length === 0 && end.how === 'runs',
    );
    const starts = isCalm ? 1 : HEALED_STARTS;
    let advised: Partial<Start['flags']> = {};
    for (let attempt = 1; attempt <= starts; attempt += 1) {
      const { breach, end } = await this.#start({ ...CALM, flags: { ...CALM.flags, ...advised } });
      if (breach !== null) return { ...breach, kind: `healed: ${breach.kind}` };
      if (end.code === 0) return this.#last();
      if (end.reason.includes('--full')) advised = { full: true };
      if (attempt < starts || mayNeverEnd(this.#case, list.live.length, list.entries.length)) continue;
      return { kind: `not healed, code ${end.code}`, text: end.reason };
    }
    return null;
  }

  async #last(): Promise<Breach | null> {
    const { breach, end } = await this.#start(CALM);
    if (breach !== null) return { ...breach, kind: `once more: ${breach.kind}` };
    if (end.code !== 0) {
      // Which pages show that a list is in no order is a matter of where a start was stopped.
      const { live, entries } = this.#scene.api.list;
      if (mayNeverEnd(this.#case, live.length, entries.length)) return null;
      return { kind: `once more: code ${end.code}`, text: end.reason };
    }
    if (!this.#seesVersions()) return null;
    const { rows, newest } = await this.#rows();
    const ofLive = new Set(this.#scene.api.list.live.flatMap(({ versions }) => versions));
    const found = new Set(rows);
    const old = [...newest].filter((text) => !found.has(text));
    return old.length === 0 || ofLive.size === 0
      ? null
      : { kind: 'older versions', text: `${old.length}: ${old[0] ?? ''}` };
  }

  /** Whether each change of a record must have come: it has another place, or the list is read in full. */
  #seesVersions(): boolean {
    const { words } = this.#case;
    if (words.version === undefined || this.#hasSkipped) return false;
    return !mayBeIncremental(this.#case) || isAt(words.version, words.time?.path);
  }

  async #start(start: Start): Promise<{ breach: Breach | null; end: StartEnd }> {
    const { api, databaseUrl, description, file } = this.#scene;
    const { list } = api;
    for (const change of start.changes) if (change.atRequest === 0) list.change(change);
    list.deed += 1;
    this.#begunAt ??= list.deed;
    const target = {
      origin: api.origin,
      databaseUrl,
      description,
      file,
      hasWrongKey: start.hasWrongKey,
      givesUpSoon: start.faults.some(({ times }) => times === null),
      hasVersions: this.#case.words.version !== undefined,
    };
    const argv = argvOf(start, target);
    let timer: NodeJS.Timeout | undefined;
    api.begin(start.faults, (request) => {
      for (const change of start.changes) if (change.atRequest === request) list.change(change);
      if (start.end.how === 'runs' || start.end.atRequest !== request) return;
      timer = setTimeout(() => {
        if (start.end.how === 'kill') running.kill();
        else running.drain();
      }, start.end.delayMs);
    });
    const running = start.end.how === 'kill' ? startProcess(target, argv) : startHere(target, argv);
    const end = await running.end;
    clearTimeout(timer);
    this.ends.push({ what: `start ${argv.join(' ')} (${start.end.how})`, end, requests: api.requests });
    return { breach: await this.#judge(start, end), end };
  }

  async #judge(start: Start, end: StartEnd): Promise<Breach | null> {
    const { api } = this.#scene;
    const breach = checkEnd(end);
    if (breach !== null) return breach;
    const [violation] = api.violations;
    if (violation !== undefined) return { kind: 'a request that no description allows', text: violation };
    if (`${end.reason}${end.log.join('')}`.includes(KEY)) return { kind: 'a key is printed', text: end.reason };
    if (!mayBeParallel(this.#case) && api.mostAtOnce > 1) {
      return { kind: 'parallel', text: `${api.mostAtOnce} requests at once` };
    }
    const begunAt = this.#begunAt ?? 0;
    if (maySkip(this.#case) && api.list.movedAt >= begunAt) this.#hasSkipped = true;
    const isOwed = !this.#hasSkipped && !hidesDisorder(this.#case, api.hasShownDisorder);
    const owed = end.code === 0 && isOwed ? api.list.live.filter(({ settledAt }) => settledAt < begunAt) : [];
    // Whoever was stopped or killed may not have been told yet, and what is known to be in no order is not asked.
    const mayEnd = [3, 4, ...(start.end.how === 'runs' ? [] : [137, 143]), ...(api.hasShownDisorder ? [2] : [])];
    if (start.hasWrongKey && this.#case.words.auth !== undefined && !mayEnd.includes(end.code)) {
      return { kind: `code ${end.code} with a wrong key`, text: end.reason };
    }
    const found = checkRows(await this.#rows(), owed);
    if (end.code === 0) {
      this.#begunAt = null;
      // Else the next run reads the list in full.
      if (!mayBeIncremental(this.#case)) this.#hasSkipped = false;
    }
    return found;
  }

  async #rows(): Promise<Rows> {
    const { api, pool } = this.#scene;
    return readRows(pool, this.#case, api.list.entries satisfies readonly Entry[]);
  }
}
