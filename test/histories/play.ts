/** Plays one history, and holds every end against the law. */
import { ApiModel } from './api-model.ts';
import { ApiServer } from './api-server.ts';
import { exportHere, startHere, startProcess, verifyHere, type CommandEnd, type CommandTarget } from './commands.ts';
import { checkExport, checkStart, checkVerify } from './ends.ts';
import type { ApiName, ApiTraits, History, StartStep, Step, TableStep } from './history.ts';
import { mayBeRepeated, type Breach, type Found, type RunBegin } from './law.ts';
import { Memory } from './memory.ts';
import type { HistoryTarget } from './target.ts';

export interface PlayOptions {
  readonly target: HistoryTarget;
  /** Every start is a process of its own; else only those that are killed. */
  readonly asProcess: boolean;
}

/** What happened, for whoever reads a breach. */
export interface Played {
  readonly breach: Breach | null;
  readonly ends: readonly { readonly what: string; readonly end: CommandEnd; readonly requests: readonly string[] }[];
  readonly starts: number;
}

interface Api {
  readonly model: ApiModel;
  readonly server: ApiServer;
  readonly traits: ApiTraits;
}

const CALM_START: StartStep = {
  do: 'start',
  api: 'first',
  flags: {},
  faults: [],
  growth: [],
  end: { how: 'runs', atPage: 0, delayMs: 0 },
};
/** How often a healed source and table may be started until it ends with 0. */
const HEALED_STARTS = 5;

export async function play(history: History, options: PlayOptions): Promise<Played> {
  const player = await Player.open(history, options);
  try {
    const breach = (await player.playAll(history.steps)) ?? (await player.heal());
    return { breach, ends: player.ends, starts: player.starts };
  } finally {
    await player.close();
  }
}

class Player {
  readonly ends: { what: string; end: CommandEnd; requests: readonly string[] }[] = [];
  starts = 0;
  readonly #options: PlayOptions;
  readonly #apis: Readonly<Record<ApiName, Api>>;
  readonly #memory = new Memory();
  readonly #calm: StartStep;
  #deed = 0;

  static async open({ api, data, salt }: History, options: PlayOptions): Promise<Player> {
    const make = async (name: ApiName): Promise<Api> => {
      const few = { ...data, count: Math.min(data.count, 40), doubled: { ...data.doubled, count: 0 } };
      const model = new ApiModel(api, name === 'first' ? data : few, `${salt}${name === 'first' ? '' : 'o'}`);
      return { model, server: await ApiServer.open(model, api), traits: api };
    };
    return new Player({ first: await make('first'), other: await make('other') }, options);
  }

  private constructor(apis: Readonly<Record<ApiName, Api>>, options: PlayOptions) {
    this.#apis = apis;
    this.#options = options;
    this.#calm = CALM_START;
  }

  async close(): Promise<void> {
    await Promise.all([this.#apis.first.server.close(), this.#apis.other.server.close()]);
  }

  async playAll(steps: readonly Step[]): Promise<Breach | null> {
    for (const step of steps) {
      this.#deed += 1;
      const breach = await this.#play(step);
      if (breach !== null) return breach;
    }
    return null;
  }

  /** Whatever has happened: with a healed source and table a few starts, with the flags that the last message names, end with 0. */
  async heal(): Promise<Breach | null> {
    await this.#options.target.heal();
    for (const { server } of Object.values(this.#apis)) server.heal();
    let flags: Record<string, boolean | string> = {};
    let end: CommandEnd | null = null;
    for (let attempt = 1; attempt <= HEALED_STARTS; attempt += 1) {
      this.#deed += 1;
      const ended = await this.#start({ ...this.#calm, flags: { ...flags } });
      if (ended.breach !== null) return { ...ended.breach, kind: `healed: ${ended.breach.kind}` };
      if (ended.end.code === 0) return null;
      end = ended.end;
      flags = { ...flags, ...advice(end) };
    }
    const { code = 0, message = '' } = end ?? {};
    const { model } = this.#apis.first;
    // Without a total, nobody can tell an API that has forgotten everything from one that fails.
    if ((code === 4 && model.places.length === 0) || mayBeRepeated(model, message)) return null;
    return { kind: `not healed, code ${code}`, text: message };
  }

  async #play(step: Step): Promise<Breach | null> {
    switch (step.do) {
      case 'start':
        return (await this.#start(step)).breach;
      case 'grow':
        this.#apis.first.model.grow(step);
        return null;
      case 'lose':
        this.#apis.first.model.lose(step);
        return null;
      case 'table':
        await this.#tamper(step);
        return null;
      case 'verify':
        return this.#verify(step.api);
      case 'export':
        return this.#export();
    }
  }

  async #start(step: StartStep): Promise<{ breach: Breach | null; end: CommandEnd }> {
    const { model, server, traits } = this.#apis[step.api];
    const begin = this.#begin(step, model, traits);
    const argv = argvOf(step, begin.range, traits.cap);
    const target = this.#commandTarget(server, step.faults.length > 0);
    const isProcess = this.#options.asProcess || step.end.how === 'kill';
    let timer: NodeJS.Timeout | undefined;
    server.begin(step.faults, (page) => {
      for (const { atPage, top, late } of step.growth) if (atPage === page) model.grow({ top, late, lateMs: 600_000 });
      if (step.end.how === 'runs' || step.end.atPage !== page) return;
      timer = setTimeout(() => {
        if (step.end.how === 'kill') running.kill();
        else running.drain();
      }, step.end.delayMs);
    });
    this.#memory.notesStart(step, this.#deed);
    this.starts += 1;
    const running = isProcess ? startProcess(target, argv) : startHere(target, argv);
    const end = await running.end;
    clearTimeout(timer);
    this.ends.push({ what: `start ${argv.join(' ')}${isProcess ? ' (process)' : ''}`, end, requests: server.requests });
    const run = await this.#options.target.newestRun();
    const newest = run === null ? null : this.#memory.knowsRun(run, begin);
    const found = await this.#found();
    const all = this.#everHad();
    return { breach: checkStart({ step, end, newest, found, everHad: all, memory: this.#memory }), end };
  }

  #begin(step: StartStep, api: ApiModel, traits: ApiTraits): Omit<RunBegin, 'runId'> {
    const { flags } = step;
    const range =
      flags.range === undefined
        ? null
        : { sinceMs: api.momentAt(flags.range.since), untilMs: api.momentAt(flags.range.until) };
    const isFull = flags.full === true || flags.newRun === true || range !== null;
    return {
      api,
      traits,
      atMs: Date.now(),
      atDeed: this.#deed,
      places: new Set(api.places),
      newestOwnMs: api.newestOwnMs,
      lostBefore: api.lostCount,
      flags,
      range,
      behind: isFull ? null : this.#memory.lastComplete(api, { withRange: false }),
      proof: null,
      isComplete: false,
      excused: new Set(),
    };
  }

  async #verify(name: ApiName): Promise<Breach | null> {
    const { server, model } = this.#apis[name];
    server.begin([], () => undefined);
    const end = await verifyHere(this.#commandTarget(server));
    this.ends.push({ what: `verify (${name})`, end, requests: server.requests });
    return checkVerify({
      end,
      model,
      found: await this.#found(),
      run: await this.#options.target.newestRun(),
      memory: this.#memory,
    });
  }

  async #export(): Promise<Breach | null> {
    const { server } = this.#apis.first;
    const end = await exportHere(this.#commandTarget(server));
    this.ends.push({ what: 'export-ids', end, requests: [] });
    const run = await this.#options.target.newestRun();
    return checkExport({ end, found: await this.#found(), run, memory: this.#memory });
  }

  #commandTarget({ baseUrl, served }: ApiServer, isTroubled = false): CommandTarget {
    return { baseUrl, databaseUrl: this.#options.target.url, isTroubled, served: () => served.size };
  }

  async #tamper(step: TableStep): Promise<void> {
    const { target } = this.#options;
    const before = await target.rows();
    const isDone = await target.do(step);
    if (step.deed === 'keep-database') this.#memory.keep();
    else if (step.deed === 'restore-database') {
      if (isDone) this.#memory.restore();
    } else if (isDone) this.#memory.notesDeed(step, { before, after: await target.rows(), deed: this.#deed });
  }

  async #found(): Promise<Found> {
    const { target } = this.#options;
    const run = await target.newestRun();
    return {
      rows: await target.rows(),
      rejections: await target.rejections(),
      isUuid: await target.hasUuids(),
      isCaseBlind: await target.isCaseBlind(),
      served: run?.served ?? 0,
      loaded: run?.loaded ?? 0,
    };
  }

  #everHad() {
    return [...this.#apis.first.model.everHad, ...this.#apis.other.model.everHad];
  }
}

/** The flags of a message that a person would follow. */
function advice({ code, message }: CommandEnd): Record<string, boolean | string> {
  const names = (flag: string): boolean => message.includes(flag);
  return {
    ...((code === 5 || code === 4) && names('--full') ? { full: true } : {}),
    ...(names('--accept-fewer-rows') ? { acceptFewerRows: true } : {}),
    ...(names('--max-rejected') ? { maxRejected: '100%' } : {}),
    ...((code === 2 || code === 4) && names('--new-run') ? { newRun: true } : {}),
  };
}

function argvOf({ flags }: StartStep, range: RunBegin['range'], cap: number): string[] {
  const value = (name: string, of: string | number | undefined): string[] =>
    of === undefined ? [] : [name, String(of)];
  const on = (name: string, of: boolean | undefined): string[] => (of === true ? [name] : []);
  return [
    ...on('--full', flags.full),
    ...on('--new-run', flags.newRun),
    ...on('--accept-fewer-rows', flags.acceptFewerRows),
    ...value('--lookback', flags.lookback),
    ...value('--since', range?.sinceMs),
    ...value('--until', range?.untilMs),
    ...value('--concurrency', flags.concurrency),
    ...value('--page-size', flags.pageSize === 'cap' ? cap : flags.pageSize),
    ...value('--merge-interval', flags.mergeInterval),
    ...value('--max-rejected', flags.maxRejected),
    ...value('--id-type', flags.idType),
  ];
}
