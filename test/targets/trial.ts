/** One target: a first load with a stop or a kill in the middle, a later load with new and changed events, each held against the law. */
import type { TestCluster } from '../support/cluster.ts';
import { ScriptedApi, type PageRequest } from '../support/scripted-api.ts';
import type { ScriptedEvent } from '../support/scripted-events.ts';
import { startHere, startProcess, type CommandEnd } from '../histories/commands.ts';
import { askTarget, type Asked } from './asked-target.ts';
import { BuiltTarget, type Rows } from './built-target.ts';
import type { Draw, OnConflict } from './drawing.ts';
import { checkLoaded, differentRows, rejectableIds, type Breach } from './law.ts';
import { sourceEvents } from './source-events.ts';
import { isUnfit } from './target-parts.ts';

export interface Tried {
  readonly breach: Breach | null;
  /** Names of the parts that PostgreSQL let go together. */
  readonly parts: readonly string[];
  readonly ends: readonly { readonly what: string; readonly end: CommandEnd }[];
  /** Events that the target has refused. */
  readonly refused: number;
}

const INTERRUPTED = [143, 137];
/** How long a page is held back for something that should happen meanwhile. */
const HELD_MS = 5_000;
const POLL_MS = 40;
/** Roles that have all rights that the job asks for. */
const FIT_ROLES: readonly Draw['role'][] = ['superuser', 'owner', 'granted'];
/** Where rows depend on what came before them, the order of serving is kept. */
const ORDERED = /unique|exclude|session is an event/;

interface Before {
  readonly rows: Rows;
  readonly definition: string;
  readonly hasSchema: boolean;
}

export async function tryTarget(cluster: TestCluster, name: string, draw: Draw): Promise<Tried> {
  const role = `${name}_job`;
  const cleanups: (() => unknown)[] = [];
  const { password } = new URL(cluster.urlFor(name));
  await cluster.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  const target = await BuiltTarget.create(cluster, name, draw, role);
  const copy = await BuiltTarget.create(cluster, `${name}_copy`, draw, role);
  const after = (cleanup: () => unknown): void => {
    cleanups.push(cleanup);
  };
  const api = await ScriptedApi.open({ after }, { events: [], maxPage: draw.load.pageSize });
  const trial = new Trial(draw, target, copy, api);
  try {
    const breach = await trial.play();
    return { breach, parts: target.parts.map((part) => part.name), ends: trial.ends, refused: trial.refused };
  } finally {
    for (const cleanup of cleanups) cleanup();
    await Promise.all([target.close(), copy.close()]);
    for (const database of [name, `${name}_copy`]) await cluster.query(`DROP DATABASE "${database}" WITH (FORCE)`);
    await cluster.query(`DROP ROLE ${role}`);
  }
}

class Trial {
  readonly ends: { what: string; end: CommandEnd }[] = [];
  refused = 0;
  readonly #draw: Draw;
  readonly #target: BuiltTarget;
  readonly #copy: BuiltTarget;
  readonly #api: ScriptedApi;
  readonly #isLeftOut = (event: ScriptedEvent): boolean =>
    this.#target.parts.some(({ leavesOut }) => leavesOut?.(event) === true);
  #mayBeRejected: ReadonlySet<string> = new Set();

  constructor(draw: Draw, target: BuiltTarget, copy: BuiltTarget, api: ScriptedApi) {
    this.#draw = draw;
    this.#target = target;
    this.#copy = copy;
    this.#api = api;
  }

  async play(): Promise<Breach | null> {
    const { first, later } = sourceEvents(this.#draw);
    const { load } = this.#draw;
    this.#api.options.events = first;
    const before = await this.#before();
    // The job cannot tell the row of an event's id that a policy hides from one that a trigger has left out.
    if (this.#draw.parts.some((part) => part.includes('policy'))) this.#mayBeRejected = new Set(before.rows.keys());
    // After a kill a page may be merged before the one that its rows point to: they are refused, and loaded when it is served again.
    if (load.end === 'kill' && this.#draw.parts.some((part) => part.startsWith('a session is an event'))) {
      this.#mayBeRejected = new Set([...this.#mayBeRejected, ...first.map(({ id }) => String(id))]);
    }
    const firstLoad = { events: first, onConflict: load.onConflict };
    const beginning = await this.#interruptedStart(load.onConflict, first.length);
    if (!INTERRUPTED.includes(beginning.code) && beginning.code !== 0) {
      return this.#checkRefusal(beginning, before, firstLoad);
    }
    const earlyBreach = beginning.code === 0 ? await this.#check(beginning, before, firstLoad) : null;
    if (earlyBreach !== null) return earlyBreach;
    const middle = await this.#before();
    const second = await this.#start(load.onConflict, ['--merge-interval', '1'], await this.#holdForMerge());
    const firstBreach = await this.#check(second, middle, firstLoad);
    if (firstBreach !== null || second.code !== 0) return firstBreach;
    this.#api.options.events = later;
    const between = await this.#before();
    const third = await this.#start(load.later, load.laterInFull ? ['--full'] : []);
    return this.#check(third, between, { events: later, onConflict: load.later });
  }

  async #before(): Promise<Before> {
    return {
      rows: await this.#target.rows(),
      definition: await this.#target.definition(),
      hasSchema: await this.#target.hasSchema(),
    };
  }

  async #interruptedStart(onConflict: OnConflict, events: number): Promise<CommandEnd> {
    const { end, at, pageSize } = this.#draw.load;
    const page = Math.max(2, Math.ceil((at / 100) * (events / pageSize)));
    const from = this.#api.pageRequests;
    return this.#start(onConflict, [], async ({ number }, running) => {
      if (number !== from + page) return;
      if (end === 'stop') running.drain();
      else {
        await this.#until(async () => (await this.#target.stagedPages()) > 0);
        running.kill();
      }
    });
  }

  /** In the second start: a page waits until the pages before it are merged. */
  async #holdForMerge(): Promise<OnPage | undefined> {
    if (!this.#draw.load.mergesBetween) return undefined;
    const from = this.#api.pageRequests;
    const { size } = await this.#target.rows();
    return async ({ number }) => {
      if (number === from + 3) await this.#until(async () => (await this.#target.rows()).size !== size);
    };
  }

  async #until(isDone: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + HELD_MS;
    while (performance.now() < deadline && !(await isDone())) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #start(onConflict: OnConflict, flags: readonly string[], onPage?: OnPage): Promise<CommandEnd> {
    const { pageSize, concurrency, end } = this.#draw.load;
    const isOrdered = this.#draw.source.doubled > 0 || this.#draw.parts.some((part) => ORDERED.test(part));
    const argv = [
      ...['--concurrency', String(isOrdered ? 1 : concurrency), '--page-size', String(pageSize), '--max-wait', '20'],
      ...['--max-rejected', '100%', '--on-conflict', onConflict, ...flags],
    ];
    const isKilled = onPage !== undefined && end === 'kill' && this.ends.length === 0;
    const goal = { baseUrl: this.#api.baseUrl, databaseUrl: this.#target.url, isTroubled: false, served: () => 0 };
    this.#api.options.hook = async (request) => {
      await onPage?.(request, running);
      return undefined;
    };
    const running = isKilled ? startProcess(goal, argv) : startHere(goal, argv);
    const ended = await running.end;
    this.ends.push({ what: `start ${argv.join(' ')}`, end: ended });
    return ended;
  }

  async #check(end: CommandEnd, before: Before, load: Load): Promise<Breach | null> {
    if (end.code !== 0) return this.#checkRefusal(end, before, load);
    const now = await this.#before();
    if (now.definition !== before.definition)
      return { kind: 'definitions are changed', text: changedLines(before.definition, now.definition) };
    const retyped = await this.#checkTypes();
    if (retyped !== null) return retyped;
    const asked = await this.#ask(load);
    await this.#askAgain(load, now.rows);
    const disorder = await this.#target.disorder();
    const accepted = await this.#copy.rows();
    const breach = checkLoaded({
      found: now.rows,
      accepted,
      asked,
      events: load.events,
      rejections: await this.#target.rejections(),
      onConflict: load.onConflict,
      isLeftOut: this.#isLeftOut,
      mayBeRejected: this.#mayBeRejected,
    });
    this.#mayBeRejected = new Set([...this.#mayBeRejected, ...rejectableIds(asked, accepted, this.#isLeftOut)]);
    return breach ?? (disorder === '' ? null : { kind: 'books or staging', text: disorder });
  }

  async #ask({ events, onConflict }: Load): Promise<readonly Asked[]> {
    const asked = await askTarget(this.#copy.url, events, await this.#copy.idTypes(), onConflict);
    this.refused += asked.filter(({ answer }) => answer === 'refused').length;
    return asked;
  }

  /**
   * Where a walk goes on, pages overlap: an event may come again, and an update then writes over what a trigger has made of its row
   * afterwards, because the API has the last word on its own events. Which ones came again is seen by their rows alone.
   */
  async #askAgain({ events, onConflict }: Load, found: Rows): Promise<void> {
    const accepted = await this.#copy.rows();
    const again = events
      .map((event) => ({ event, id: String(event['id']) }))
      .filter(({ id }) => found.has(id) && accepted.has(id) && found.get(id) !== accepted.get(id));
    await askTarget(
      this.#copy.url,
      again.map(({ event }) => event),
      await this.#copy.idTypes(),
      onConflict,
    );
  }

  /** A column of UUIDs may become text, in an empty table; and the copy becomes it, too. */
  async #checkTypes(): Promise<Breach | null> {
    const [now, copied] = [await this.#target.idTypes(), await this.#copy.idTypes()];
    for (const column of ['id', 'session_id', 'user_id'] as const) {
      if (now[column] === copied[column]) continue;
      if (now[column] === 'uuid') return { kind: 'definitions are changed', text: `${column} was text, and is uuid` };
      await this.#copy.run(`ALTER TABLE ingested_events ALTER COLUMN ${column} TYPE text USING ${column}::text`);
    }
    return null;
  }

  /** Code 2 is right where the target cannot be used, or takes nothing at all; and then nothing is changed. */
  async #checkRefusal(end: CommandEnd, before: Before, load: Load): Promise<Breach | null> {
    if (end.code === -1) return { kind: 'hangs', text: end.message };
    if (end.code !== 2) return { kind: `code ${end.code}`, text: end.message };
    const now = await this.#before();
    const changed = differentRows(now.rows, before.rows, new Set());
    const takesNothing = end.message.includes('refuses every row that was tried');
    if (changed !== null && !takesNothing)
      return { kind: `code 2, and ${changed.kind}`, text: `${end.message}\n${changed.text}` };
    if (now.definition !== before.definition) {
      return { kind: 'code 2, and definitions are changed', text: changedLines(before.definition, now.definition) };
    }
    if (takesNothing) return this.#checkThatNothingIsTaken(end, before, load);
    const { onConflict } = load;
    const { role, source } = this.#draw;
    const types = await this.#copy.idTypes();
    const hasOtherIds = source.ids === 'text' && (types.id === 'uuid' || types.session_id === 'uuid');
    if (hasOtherIds && /source's ids make its column/.test(end.message)) return null;
    if (/has no replica identity/.test(end.message) && (await this.#copy.refusesUpdates())) return null;
    const isFit = FIT_ROLES.includes(role) || (role === 'no update' && onConflict === 'ignore');
    if (isFit && !this.#target.parts.some((part) => isUnfit(part, onConflict))) {
      return { kind: 'code 2 for a target that works', text: end.message };
    }
    return now.hasSchema && !before.hasSchema ? { kind: 'code 2, and there is a schema', text: end.message } : null;
  }

  /** Right where the start could win nothing, and meets an event that was not refused before. */
  async #checkThatNothingIsTaken(end: CommandEnd, before: Before, load: Load): Promise<Breach | null> {
    const known = new Set((await this.#target.rejections()).map(({ id }) => id));
    await this.#checkTypes();
    const asked = await this.#ask(load);
    const lost = differentRows(before.rows, await this.#copy.rows(), new Set());
    if (lost !== null) return { kind: 'code 2, and the target accepts events', text: `${end.message}\n${lost.text}` };
    const isNew = asked.some(({ event, answer }) => answer === 'refused' && !known.has(String(event['id'])));
    return isNew ? null : { kind: 'code 2 for events that were set aside before', text: end.message };
  }
}

interface Load {
  readonly events: readonly ScriptedEvent[];
  readonly onConflict: OnConflict;
}

type OnPage = (request: PageRequest, running: ReturnType<typeof startHere>) => Promise<void>;

function changedLines(before: string, now: string): string {
  const [was, is] = [before.split('\n'), now.split('\n')];
  const lost = was.filter((line) => !is.includes(line)).map((line) => `- ${line.trim()}`);
  return [...lost, ...is.filter((line) => !was.includes(line)).map((line) => `+ ${line.trim()}`)].join('\n');
}
