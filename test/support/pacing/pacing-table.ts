/** The table that the pacer is held to: kinds of API, and the share of an oracle's requests that a policy must reach. */
import { fraction, purposeSeed } from '../../../src/simulator/data/random.ts';
import { PlainPacing } from './plain-pacing.ts';
import { ChangingLimit, UNLIMITED, createLimit, type LimitKind } from './virtual-limits.ts';
import type { HeaderForm, VirtualApi } from './virtual-headers.ts';
import { usualRequests, type Callers, type Case, type Pacing } from './virtual-pacing.ts';

export interface Row {
  readonly name: string;
  readonly atLeast: number;
  /** Episodes of refusals are not counted where they do not depend on the rate, or others cause them. */
  readonly countsEpisodes: boolean;
  readonly cases: readonly Case[];
}

const CALLERS: readonly Callers[] = [8, 16].flatMap((count) =>
  [20, 100, 1_000, 3_500].map((latencyMs) => ({ count, latencyMs })),
);
/** In which part of a window of the API's clock the callers begin. */
const PHASE = 0.37;

interface Limit {
  readonly limit: number;
  readonly windowMs: number;
}

const NAMED: readonly Limit[] = [
  { limit: 10, windowMs: 60_000 },
  { limit: 200, windowMs: 300_000 },
];
const OTHER: readonly Limit[] = [
  { limit: 25, windowMs: 5_000 },
  { limit: 50, windowMs: 10_000 },
  { limit: 100, windowMs: 60_000 },
];

type Changes = Partial<Omit<VirtualApi, 'limit'>>;

function cases(kind: LimitKind, limits: readonly Limit[], name: string, changes: Changes, requests?: number): Case[] {
  return limits.flatMap(({ limit, windowMs }) =>
    CALLERS.map((callers) => ({
      name: `${name} ${kind} ${limit} in ${windowMs / 1000} s, ${callers.count} callers, ${callers.latencyMs} ms`,
      api: { limit: () => createLimit(kind, limit, windowMs), headers: 'none', retryAfter: true, ...changes },
      callers: { ...callers, beginMs: kind === 'grid' || changes.usedUp === true ? Math.round(windowMs * PHASE) : 0 },
      requests: requests ?? usualRequests(limit),
    })),
  );
}

const FORMS: readonly HeaderForm[] = ['seconds', 'epoch', 'epoch-down', 'draft-06', 'draft-07', 'draft-08'];
const WINDOWS = ['fixed', 'grid'] as const;

const announced = FORMS.flatMap((headers) =>
  WINDOWS.flatMap((kind) => cases(kind, NAMED, headers, { headers, clockSkewMs: headers === 'epoch' ? 3_600_000 : 0 })),
);

const shared = WINDOWS.flatMap((kind) => [
  ...cases(kind, NAMED, 'used up before', { headers: 'seconds', usedUp: true }),
  ...NAMED.flatMap((limit) =>
    cases(kind, [limit], 'shared', { headers: 'seconds', othersEveryMs: (limit.windowMs / limit.limit) * 3.3 }),
  ),
]);

const otherKinds = (['sliding', 'bucket', 'bucket-next'] as const).flatMap((kind) =>
  cases(kind, [...NAMED, ...OTHER], 'announced', { headers: 'seconds' }),
);

const hidden = (['fixed', 'grid', 'sliding', 'bucket'] as const).flatMap((kind) =>
  [true, false].flatMap((retryAfter) =>
    cases(kind, [...NAMED, ...OTHER], retryAfter ? 'hidden, Retry-After' : 'hidden, no word', { retryAfter }, 600),
  ),
);

const random = [0.01, 0.05].flatMap((share) =>
  CALLERS.map((callers): Case => ({
    name: `${share * 100} % refused at random, ${callers.count} callers, ${callers.latencyMs} ms`,
    api: {
      limit: () => UNLIMITED,
      headers: 'none',
      retryAfter: false,
      refuses: (number) => fraction(purposeSeed(11, 'refused'), number) < share,
    },
    callers,
    requests: 6_000,
    reference: () => new Obedient(),
  })),
);

const everyNth = [5, 11].flatMap((nth) =>
  CALLERS.map((callers): Case => ({
    name: `every ${nth}th refused for a second, ${callers.count} callers, ${callers.latencyMs} ms`,
    api: {
      limit: () => UNLIMITED,
      headers: 'none',
      retryAfter: false,
      refuses: (number) => number % nth === 0,
      refusesForMs: 1_000,
    },
    callers,
    requests: 600,
    reference: () => new Obedient(),
  })),
);

const changing = [
  { name: 'halves', before: 50, after: 25 },
  { name: 'doubles', before: 25, after: 50 },
  { name: 'appears', before: Infinity, after: 50 },
].flatMap(({ name, before, after }) =>
  (['fixed', 'sliding', 'bucket'] as const).flatMap((kind) =>
    (['seconds', 'none'] as const).flatMap((headers) =>
      [true, false].flatMap((retryAfter) =>
        CALLERS.map((callers): Case => {
          const windowMs = 20_000;
          const atMs = 3.4 * windowMs;
          const first = (): ReturnType<typeof createLimit> =>
            Number.isFinite(before) ? createLimit(kind, before, windowMs) : UNLIMITED;
          const unlimited = callers.count * (atMs / callers.latencyMs);
          return {
            name: `${name}, ${headers === 'none' ? 'hidden' : 'announced'}, ${retryAfter ? 'Retry-After' : 'no word'}, ${kind}, ${callers.count} callers, ${callers.latencyMs} ms`,
            api: {
              limit: () => new ChangingLimit(first(), createLimit(kind, after, windowMs), atMs),
              headers,
              retryAfter,
            },
            callers,
            requests: Math.ceil((Number.isFinite(before) ? before * 4 : unlimited) + after * 12),
            countsFromMs: atMs + 2 * windowMs,
          };
        }),
      ),
    ),
  ),
);

export const TABLE: readonly Row[] = [
  { name: 'announced, fixed window', atLeast: 0.97, countsEpisodes: true, cases: announced },
  { name: 'announced, used up or shared', atLeast: 0.95, countsEpisodes: false, cases: shared },
  { name: 'announced, sliding window or token bucket', atLeast: 0.95, countsEpisodes: true, cases: otherKinds },
  { name: 'hidden limit', atLeast: 0.92, countsEpisodes: true, cases: hidden },
  { name: 'no limit, refused at random', atLeast: 0.85, countsEpisodes: false, cases: random },
  { name: 'every nth refused, whatever the rate', atLeast: 0.85, countsEpisodes: false, cases: everyNth },
  { name: 'a limit that changes, after two windows', atLeast: 0.9, countsEpisodes: true, cases: changing },
];

/** Of each kind of API the callers of another group, in turn. */
export function sample({ cases }: Row): Case[] {
  return cases.filter((_, at) => at % CALLERS.length === (Math.floor(at / CALLERS.length) * 3) % CALLERS.length);
}

/** Waits as it is told, and otherwise never: the best that can be done where refusals do not depend on the rate. */
export class Obedient extends PlainPacing {
  answered(...[, result, notice, nowMs]: Parameters<Pacing['answered']>): void {
    if (result === 'refused') this.waitUntil(nowMs + (notice.retryAfterMs ?? 0));
  }
}
