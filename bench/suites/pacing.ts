/** How much of a rate limit is used: policies in virtual time, against an oracle that knows the limit, and the job's client over sockets. */
import { pino } from 'pino';
import { ApiClient } from '../../src/api/api-client.ts';
import { PacingPolicy } from '../../src/api/pacing-policy.ts';
import { startSimulator, type StartOptions } from '../../src/simulator/simulator.ts';
import { TABLE, type Row } from '../../test/support/pacing/pacing-table.ts';
import { SHORTFALLS } from '../../test/support/pacing/shortfalls.ts';
import { compare, type Comparison, type Pacing } from '../../test/support/pacing/virtual-pacing.ts';
import { Aimd } from '../pacing/aimd.ts';
import { BurstAndWait } from '../pacing/burst-and-wait.ts';
import { round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const OURS = 'this project';
const CONTENDERS: Readonly<Record<string, () => Pacing>> = {
  [OURS]: () => new PacingPolicy({ maxRps: null }),
  'burst and wait': () => new BurstAndWait(),
  AIMD: () => new Aimd(),
};

interface Result {
  readonly row: Row;
  readonly contender: string;
  readonly meanShare: number;
  readonly worstShare: number;
  readonly worstCase: string;
  /** Cases below the row's bound, and those of them that are not named in shortfalls.ts. */
  readonly below: number;
  readonly unnamed: number;
  readonly refused: number;
  readonly episodesAWindow: number;
}

interface SocketResult {
  readonly name: string;
  readonly usedPercent: number;
  readonly refusedPercent: number;
}

export const suite: Suite = {
  name: 'pacing',
  title: 'Rate limits, used and kept',
  byDefault: false,
  run: async (context) => {
    const results = TABLE.flatMap((row) =>
      Object.entries(CONTENDERS).map(([contender, create]) => {
        const result = measure(row, contender, create);
        context.say(`${row.name}, ${contender}: ${round(result.meanShare * 100, 1)} %`);
        return result;
      }),
    );
    return present(results, await overSockets(context));
  },
};

function measure(row: Row, contender: string, create: () => Pacing): Result {
  const compared = row.cases.map((one): [string, Comparison] => [one.name, compare(create(), one)]);
  const [worstCase, worst] = compared.reduce((a, b) => (b[1].share < a[1].share ? b : a));
  const below = compared.filter(([, { share }]) => share < row.atLeast);
  const total = (of: (comparison: Comparison) => number): number => compared.reduce((sum, [, one]) => sum + of(one), 0);
  return {
    row,
    contender,
    meanShare: total(({ share }) => share) / compared.length,
    worstShare: worst.share,
    worstCase,
    below: below.length,
    unnamed: below.filter(([name]) => !SHORTFALLS.some(({ cases }) => cases.test(name))).length,
    refused: total(({ course }) => course.refusedMs.length) / total(({ course }) => course.startsMs.length),
    episodesAWindow: Math.max(...compared.map(([, { episodesAWindow }]) => episodesAWindow)),
  };
}

const CALLERS = 8;
const RUN_MS = 30_000;
/** Requests a second that all these allow. */
const ALLOWED_RPS = 5;
const KEY = 'ds_bench';

async function overSockets({ say }: BenchContext): Promise<SocketResult[]> {
  say(`over sockets, ${RUN_MS / 1000} s`);
  const named = { eventsLimit: 50, eventsWindow: 10 };
  const hidden = { eventsLimit: 25, eventsWindow: 5, eventsHeaders: false, rateBody: false };
  return Promise.all(
    (['fixed', 'sliding'] as const).flatMap((rateWindow) => [
      ...(['seconds', 'epoch'] as const).map((rateReset) =>
        useLimit(`${rateWindow}, announced, reset as ${rateReset}`, { ...named, rateWindow, rateReset }),
      ),
      ...(['seconds', 'date', 'missing'] as const).map((retryAfter) =>
        useLimit(`${rateWindow}, hidden, Retry-After ${retryAfter}`, { ...hidden, rateWindow, retryAfter }),
      ),
    ]),
  );
}

/** Callers that always want the next page, against a simulator of their own. */
async function useLimit(name: string, options: StartOptions): Promise<SocketResult> {
  const simulator = await startSimulator({ events: 1_000, key: KEY, latency: 20, latencyJitter: 20, ...options });
  const client = new ApiClient({
    baseUrl: simulator.baseUrl,
    apiKey: KEY,
    userAgent: 'bench',
    endpoint: 'events',
    maxRps: null,
    maxWaitMs: RUN_MS,
    connectTimeoutMs: 2_000,
    pageTimeoutMs: 5_000,
    acceptCompression: false,
    maxPageBytes: 16_000_000,
    logger: pino({ level: 'silent' }),
  });
  const signal = AbortSignal.timeout(RUN_MS);
  const asks = Array.from({ length: CALLERS }, async (_, windowId) => {
    const request = {
      windowId,
      cursor: null,
      cursorReceivedAtMs: null,
      cursorLifeMs: null,
      sinceMs: null,
      untilMs: null,
    };
    for (let page = 1; ; page += 1) await client.fetchPage({ ...request, page, limit: 1 + (page % 5), signal });
  });
  await Promise.allSettled(asks);
  const pages = simulator.log().filter(({ kind }) => kind === 'events');
  const count = (status: number): number => pages.filter((page) => page.status === status).length;
  await client.close();
  await simulator.close();
  return {
    name,
    usedPercent: (count(200) / ((ALLOWED_RPS * RUN_MS) / 1000)) * 100,
    refusedPercent: (count(429) / pages.length) * 100,
  };
}

function present(results: readonly Result[], sockets: readonly SocketResult[]) {
  return {
    tables: [
      {
        title: 'Requests granted, of those of an oracle that knows the limit',
        columns: [
          'API',
          'policy',
          'mean %',
          'worst %',
          'worst case',
          'below the bound',
          'refused %',
          'episodes a window, at most',
        ],
        rows: results.map((result) => [
          result.row.name,
          result.contender,
          round(result.meanShare * 100, 1),
          round(result.worstShare * 100, 1),
          result.worstCase,
          `${result.below} of ${result.row.cases.length}`,
          round(result.refused * 100, 1),
          result.episodesAWindow,
        ]),
        note: 'In virtual time, with 8 and 16 callers and 20 ms to 3.5 s a request, at the moment of the oracle’s last request. What is on its way when a refusal comes back belongs to its episode; the first two windows are not counted.',
      },
      {
        title: `Over sockets, ${RUN_MS / 1000} s, ${ALLOWED_RPS} requests a second allowed`,
        columns: ['limit', 'used %', 'refused %'],
        rows: sockets.map(({ name, usedPercent, refusedPercent }) => [
          name,
          round(usedPercent, 1),
          round(refusedPercent, 1),
        ]),
        note: 'A window of 10 s where the limit is announced, of 5 s where it is hidden. A window that is begun in the last seconds can be used up at once, so more than 100 % is possible.',
      },
    ],
    charts: [
      {
        title: 'Percent of the oracle, mean',
        unit: '%',
        bars: results.map(({ row, contender, meanShare }) => ({
          label: `${row.name}: ${contender}`,
          parts: [{ name: 'of the oracle', value: round(meanShare * 100, 1) }],
        })),
      },
    ],
    checks: results
      .filter(({ contender }) => contender === OURS)
      .flatMap(({ row, worstShare, worstCase, unnamed }) => [
        {
          what: `${row.name}: the worst case (${worstCase})`,
          target: `≥ ${row.atLeast * 100} %`,
          measured: `${round(worstShare * 100, 1)} %`,
          holds: worstShare >= row.atLeast,
        },
        {
          what: `${row.name}: cases below the bound that are no known shortfalls`,
          target: '0',
          measured: String(unnamed),
          holds: unnamed === 0,
        },
      ]),
    raw: { results: results.map(({ row, ...rest }) => ({ ...rest, row: row.name })), sockets },
  };
}
