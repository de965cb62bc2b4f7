/** An API whose list grows, and a job that follows it, by a clock of the test's own. */
import type { TestContext } from 'node:test';
import { z } from 'zod';
import type { DescribedSource } from '../../../src/app/run/described-source.ts';
import { databaseIn, testDatabase, type TestCluster, type TestDatabase } from '../database.ts';
import { jobFor, type JobEnd } from '../ingestion.ts';
import { ScriptedApi, type PageHook, type ScriptedOptions } from '../scripted-api.ts';
import type { ScriptedEvent } from '../scripted-events.ts';
import { uuidFrom } from '../scripted-events.ts';
import { VirtualClock } from './virtual-clock.ts';

const START_MS = Date.UTC(2026, 0, 27, 12);
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
const LINE = z.looseObject({ level: z.number(), msg: z.string() });
const WAITS = { backoff: { baseMs: 5, capMs: 20 }, streamLooks: { firstMs: 20, thenMs: 40 }, firstContactMs: 100 };
const FLAGS = ['--concurrency', '2', '--max-wait', '2', '--page-size', '500'];

export class GrowingList {
  readonly api: ScriptedApi;
  readonly clock: VirtualClock;
  readonly database: TestDatabase;
  readonly #events: ScriptedEvent[] = [];
  /** The job takes the API by this description. */
  described: DescribedSource | undefined;
  /** In place of the API's own. */
  baseUrl: string | undefined;
  /** Answers in place of the usual ones. */
  hook: PageHook = () => undefined;
  readonly #added: string[] = [];
  /** Made before they appear. */
  readonly #reserve: ScriptedEvent[] = [];
  /** Ids of events that no page has had yet. */
  readonly #unserved = new Set<unknown>();
  /** Pages with an event that none before had. */
  newPages = 0;
  /** How many lines of a log are kept while its job follows. */
  keptLines = Infinity;
  /** Lines from info on, of all jobs. */
  lines = 0;
  #named = 0;

  private constructor(api: ScriptedApi, database: TestDatabase, clock: VirtualClock) {
    this.api = api;
    this.database = database;
    this.clock = clock;
    api.options.events = this.#events;
    api.options.hook = async (request) => {
      const changed = await this.hook(request);
      if (changed !== undefined) return changed;
      const { usual } = request;
      const served = this.#events.slice(usual.first, usual.end).filter(({ id }) => this.#unserved.delete(id));
      if (served.length > 0) this.newPages += 1;
      return { body: usual.body, headers: this.#date() };
    };
  }

  static async open(
    t: TestContext,
    options: Partial<ScriptedOptions> = {},
    cluster?: TestCluster,
  ): Promise<GrowingList> {
    const clock = new VirtualClock(START_MS);
    const database = cluster === undefined ? await testDatabase(t) : await databaseIn(t, cluster);
    return new GrowingList(await ScriptedApi.open(t, { events: [], ...options }), database, clock);
  }

  get events(): readonly ScriptedEvent[] {
    return this.#events;
  }

  /** `count` events appear, a second apart, the newest `agoMs` old: where that is older than others, they come late. */
  grow(count: number, agoMs = 1_000, stepMs = 1_000): void {
    for (let at = count - 1; at >= 0; at -= 1) this.add(this.clock.now() - agoMs - at * stepMs);
  }

  /** From now on the API counts what a bounded answer was asked for, and not its list. */
  countWhatIsAskedFor(): void {
    this.hook = ({ query, usual }) => {
      const since = query.get('since');
      if (since === null) return undefined;
      const total = this.#events.filter(({ timestamp }) => timestamp >= Number(since)).length;
      return { body: { ...usual.body, meta: { total } } };
    };
  }

  /** Makes the next `count` events already, so that the memory of the test does not grow while the list does. */
  reserve(count: number): void {
    for (let at = 0; at < count; at += 1) this.#reserve.push(this.#make());
  }

  #make(): ScriptedEvent {
    const n = (this.#named += 1);
    // As large in memory as it ever will be: texts in one piece, and a time that is no small whole number.
    return structuredClone({ id: uuidFrom(`grown ${n}`), name: `grown_${n}`, type: 'click', timestamp: 0.5 });
  }

  /** @param isOnTop above all others, whatever its time: the list is in the order of arrival */
  add(timestamp: number, isOnTop = false): void {
    const event = Object.assign(this.#reserve.pop() ?? this.#make(), { timestamp });
    this.#added.push(String(event.id));
    this.#unserved.add(event.id);
    // Newest first; the later one of an instant stands above the others.
    const place = this.#events.findIndex((other) => isOnTop || other.timestamp <= timestamp);
    this.#events.splice(place === -1 ? this.#events.length : place, 0, event);
  }

  /** Ids of the events that were added since this was last asked. */
  takeAdded(): readonly string[] {
    return this.#added.splice(0);
  }

  /** How many of the events have no row. */
  async missing(): Promise<number> {
    return (await this.missingOf(this.#events.map(({ id }) => String(id)))).length;
  }

  /** Those of `ids` that have no row. */
  async missingOf(ids: readonly string[]): Promise<readonly string[]> {
    if (ids.length === 0) return [];
    const { rows } = await this.database.query<{ id: string }>(
      'SELECT id::text AS id FROM ingested_events WHERE id = ANY ($1)',
      [[...ids]],
    );
    const there = new Set(rows.map(({ id }) => id));
    return ids.filter((id) => !there.has(id));
  }

  /** All that are remembered, the oldest first. */
  async runs(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { rows } = await this.database.query<Record<string, unknown>>(
      `SELECT begun_by AS "begunBy", inserted::int AS inserted, proof ->> 'kind' AS proof FROM ingestion.run ORDER BY run_id`,
    );
    return rows;
  }

  /** Messages of the log from info on. */
  told({ log }: Pick<JobEnd, 'log'>): string[] {
    const lines = log.map((line) => LINE.parse(JSON.parse(line)));
    return lines.filter(({ level }) => level >= 30).map(({ msg }) => msg);
  }

  /**
   * A job that follows until it ends, or `act` has come to its end: it is called each time the job waits, with the number of the wait.
   * @param act `false` stops the job
   */
  async follow(
    act: (wait: number, forMs: number) => Promise<boolean> | boolean,
    flags: readonly string[] = [],
  ): Promise<JobEnd> {
    const { described } = this;
    const by = described === undefined ? {} : { described, plan: described.plan, table: described.table };
    const target = {
      baseUrl: described?.url.href ?? this.baseUrl ?? this.api.baseUrl,
      databaseUrl: this.database.url,
      ...by,
    };
    const { job, run, log } = jobFor(target, {}, [...FLAGS, '--follow', '30s', ...flags], WAITS, this.clock);
    let waits = 0;
    this.clock.onWait = async (untilMs) => {
      waits += 1;
      this.lines += this.told({ log: log.splice(0, log.length - this.keptLines) }).length;
      if (!(await act(waits, untilMs - this.clock.now()))) job.stop();
    };
    const end = await run();
    this.lines += this.told(end).length;
    return end;
  }

  #date(): Record<string, string> {
    return { date: new Date(this.clock.now()).toUTCString() };
  }
}
