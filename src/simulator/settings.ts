/**
 * The table of the simulator's settings: name, default, range, one sentence. Flags, `--help`, `startSimulator` and
 * `apply` all read it. Every choice that the API contract leaves open is one line here. Values may be typed, or text (flags).
 */
import { z } from 'zod';
import { faultKinds, faultPlan, faultShares } from './faults/fault-kinds.ts';

export const timestampFormats = [
  'ms',
  'iso',
  'seconds',
  'whole-seconds',
  'micros',
  'nanos',
  'digits',
  'iso-offset',
  'iso-micros',
  'iso-space',
] as const;
export type TimestampFormat = (typeof timestampFormats)[number];

interface Described {
  readonly [key: string]: unknown;
  readonly description: string;
  /** Shapes the data set itself: fixed once the simulator has started. */
  readonly population?: true;
  /** The flag needs no value. */
  readonly toggle?: true;
}

const integer = (preset: number, min: number, max: number, about: Described) =>
  z.coerce
    .number()
    .int()
    .min(min)
    .max(max)
    .default(preset)
    .meta({ ...about });
const amount = (preset: number, max: number, about: Described) =>
  z.coerce
    .number()
    .min(0)
    .max(max)
    .default(preset)
    .meta({ ...about });
const share = (about: Described, preset = 0) => amount(preset, 1, about);
const text = (preset: string, about: Described) =>
  z
    .string()
    .default(preset)
    .meta({ ...about });
const toggle = (preset: boolean, description: string) =>
  z.union([z.boolean(), z.stringbool()]).default(preset).meta({ description, toggle: true });
const choice = <const V extends readonly string[]>(values: V, preset: V[number], about: Described) =>
  z
    .enum(values)
    .default(preset)
    .meta({ ...about, description: `${about.description} (${values.join(', ')})` });

const splitList = (value: string): string[] =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const timestampList = z
  .union([
    z.array(z.string()),
    z.string().transform((value) => {
      if (value === 'mixed') return ['ms', 'iso'];
      return value === 'mixed-all' ? [...timestampFormats] : splitList(value);
    }),
  ])
  .pipe(z.array(z.enum(timestampFormats)).min(1))
  .default(['ms', 'iso'])
  .meta({
    description: `timestamp formats, drawn at random: mixed (ms,iso), mixed-all, or a list of ${timestampFormats.join(', ')}`,
    population: true,
  });

const encodingList = z
  .union([z.array(z.string()), z.string().transform(splitList)])
  .pipe(z.array(z.enum(['gzip', 'deflate', 'br'])))
  .default([])
  .meta({ description: 'content encodings that a client may ask for: a list of gzip, deflate, br' });

const population = (description: string): Described => ({ description, population: true });
const about = (description: string): Described => ({ description });
const MAX_EVENTS = 50_000_000;
const MAX_SECONDS = 1e9;

export const settingsSchema = z.strictObject({
  host: text('127.0.0.1', population('address to listen on')),
  port: integer(0, 0, 65_535, population('port to listen on; 0 takes a free one')),

  events: integer(3_000_000, 0, MAX_EVENTS, population('events in the data set at the start')),
  seed: integer(1, 0, 0xffff_ffff, population('the same seed serves the same events, byte for byte')),
  newest: z
    .union([z.coerce.number(), z.iso.datetime({ offset: true }).transform((iso) => Date.parse(iso))])
    .pipe(z.number().int())
    .default(1_769_541_612_369)
    .meta(population('time of the newest event: epoch milliseconds or ISO 8601')),
  days: amount(30, 36_500, population('time the events span, days')),
  distribution: choice(
    ['uniform', 'skewed', 'gaps', 'instant', 'ties'],
    'uniform',
    population(
      'how events are spread over time; skewed: 90 % in 1 %; gaps: bursts with a year between; ties: thousands share a ms',
    ),
  ),
  tieSize: integer(7_000, 1, MAX_EVENTS, population('events that share a millisecond with --distribution ties')),
  timestamps: timestampList,
  ids: choice(
    ['uuid', 'text', 'event-text', 'number', 'number-text'],
    'uuid',
    population('ids: UUIDs, evt-0000001, event_0000001, 42, "42"'),
  ),
  idField: choice(['id', 'eventId', 'event_id'], 'id', population('field that holds the id')),
  timeField: choice(['timestamp', 'occurredAt', 'occurred_at'], 'timestamp', population('field that holds the time')),
  session: z
    .union([z.boolean(), z.stringbool()])
    .default(true)
    .meta({ ...population('events have sessionId and session'), toggle: true }),
  sessions: integer(60_000, 1, 10_000_000, population('distinct sessions')),
  users: integer(3_000, 1, 10_000_000, population('distinct users')),
  missingFields: share(population('share of events that lack a field (never the id)')),
  extraFields: share(population('share of events with extra fields, hasMore and nextCursor among them')),
  nasty: share(population('share of events with values that are hard to store: NUL, lone surrogates, huge numbers')),
  badIds: share(population('share of events whose id is missing, null, empty or of a wrong type')),
  badTimes: share(population('share of events whose time is invalid or missing')),
  doubled: integer(0, 0, 1_000_000, population('events that are served twice in a row')),
  futureEvent: z
    .union([z.boolean(), z.stringbool()])
    .default(false)
    .meta({ ...population('adds one event from the year 2099'), toggle: true }),
  arrivals: amount(0, 100_000, about('events that arrive in each second of the run')),

  shape: choice(['live', 'docs'], 'live', about('page shape: pagination and meta objects, or flat')),
  envelope: choice(['after', 'before'], 'after', about('place of the envelope: after or before the events')),
  keyOrder: choice(['normal', 'reversed'], 'normal', about('order of the keys inside the envelope')),
  dataField: choice(['data', 'events'], 'data', about('field that holds the events')),
  keyCase: choice(['camel', 'snake'], 'camel', about('nextCursor or next_cursor')),
  hasMoreAs: choice(['boolean', 'text', 'number'], 'boolean', about('type of hasMore')),
  lastCursor: choice(['null', 'absent', 'empty'], 'null', about('nextCursor of the last page')),
  spaces: toggle(false, 'white space between the tokens of the envelope'),
  total: toggle(true, 'the live shape has meta.total'),
  totalOffset: integer(0, -MAX_EVENTS, MAX_EVENTS, about('how far meta.total is off the truth')),
  pageCap: integer(5_000, 1, 100_000, about('events a page at most; a larger limit is lowered to it')),
  defaultLimit: integer(100, 1, 100_000, about('events a page when limit is not given')),

  cursorTtl: amount(116, MAX_SECONDS, about('life of a cursor, seconds')),
  cursorAlphabet: choice(['standard', 'url-safe'], 'standard', about('Base64 alphabet of cursors')),
  cursorPadding: toggle(true, 'cursors are padded'),
  staleAs: choice(['400', '410', '502'], '400', about('answer to a stale or bad cursor; 502 is an HTML page')),

  windows: choice(['honoured', 'ignored'], 'honoured', about('since and until on the stream endpoint')),
  sinceBound: choice(['inclusive', 'exclusive'], 'inclusive', about('whether an event at since is inside')),
  untilBound: choice(['inclusive', 'exclusive'], 'inclusive', about('whether an event at until is inside')),
  sinceWithCursor: choice(['honoured', 'ignored'], 'honoured', about('since beside a cursor')),
  untilWithCursor: choice(['honoured', 'ignored'], 'honoured', about('until beside a cursor')),
  outOfRange: choice(['empty', '418'], 'empty', about('a window outside the data: empty page or 418')),

  key: text('', about('the API key; empty accepts any')),
  keyRefusedAs: choice(['401', '403'], '401', about('answer to a wrong or missing key')),
  keyLifetime: amount(10_800, MAX_SECONDS, about('life of a key from its first use, seconds')),

  streamAccess: choice(
    ['granted', 'absent', 'refused', 'broken'],
    'granted',
    about('stream access; absent 404, refused 403, broken 502'),
  ),
  accessBreaksAfter: integer(0, 0, 1e9, about('grants after which stream access is broken; 0 never')),
  streamBreaksAfter: integer(0, 0, 1e9, about('pages after which the stream endpoint fails for good; 0 never')),
  streamBreaksAs: choice(
    ['404', '403', '502', 'token'],
    '502',
    about('how the stream endpoint fails; token: every token is rejected'),
  ),
  streamPath: text('/api/v1/events/d4ta/x7k9/feed', about('path of the stream endpoint')),
  dashboard: choice(
    ['lenient', 'strict'],
    'lenient',
    about('what a stream access request must look like; strict wants every header of the dashboard'),
  ),
  tokenLifetime: amount(300, MAX_SECONDS, about('life of a stream token, seconds')),
  tokenSaysLifetime: amount(
    0,
    MAX_SECONDS,
    about('expiresIn that the grant claims, seconds; 0 claims the true lifetime'),
  ),
  tokenHeader: text('X-Stream-Token', about('header that carries the token')),
  tokenRejectedAs: choice(['401', '403'], '401', about('answer to an expired or unknown token')),
  tokensRejected: toggle(false, 'every token is rejected'),

  eventsLimit: integer(10, 0, 1e9, about('requests a window on /events; 0 is unlimited')),
  eventsWindow: amount(60, MAX_SECONDS, about('rate-limit window of /events, seconds')),
  eventsHeaders: toggle(true, '/events sends X-RateLimit-* headers'),
  streamLimit: integer(0, 0, 1e9, about('requests a window on the stream endpoint; 0 is unlimited')),
  streamWindow: amount(300, MAX_SECONDS, about('rate-limit window of the stream endpoint, seconds')),
  streamHeaders: toggle(false, 'the stream endpoint sends X-RateLimit-* headers'),
  rateWindow: choice(['fixed', 'sliding'], 'fixed', about('kind of rate-limit window')),
  retryAfter: choice(['seconds', 'date', 'missing'], 'seconds', about('Retry-After of a 429')),
  rateReset: choice(['seconds', 'epoch'], 'seconds', about('X-RateLimit-Reset: seconds left, or epoch seconds')),
  rateBody: toggle(true, 'a 429 has rateLimit in its body'),

  cache: amount(0, MAX_SECONDS, about('seconds for which identical requests are answered from a cache; 0 is off')),
  cacheBad: toggle(true, 'bad pages are cached too'),

  latency: amount(0, 600_000, about('time before an answer, ms')),
  latencyJitter: amount(0, 600_000, about('random time added to latency at most, ms')),
  latencyPerMb: amount(0, 600_000, about('time added for each MB of the page, ms')),
  compression: encodingList,
  chunked: toggle(false, 'pages are sent chunked, without Content-Length'),
  keepAliveSeconds: amount(5, MAX_SECONDS, about('seconds after which an idle connection is closed')),

  faults: faultShares.meta({
    description: `shares of page requests that go wrong: kind=share,… of ${faultKinds.join(', ')}`,
  }),
  faultPlan: faultPlan.meta({
    description: 'faults of single requests by number: N:fault, or events/N:fault, stream/N:fault, access/N:fault',
  }),
  cutAt: share(about('where bodies are cut, as a share of their length'), 0.5),
  burstRetryAfter: amount(1, MAX_SECONDS, about('Retry-After of a 429 burst, seconds')),
  burst: integer(3, 1, 10_000, about('number of answers in a 429 burst')),
});

export type SimulatorSettings = z.output<typeof settingsSchema>;
export type SettingName = keyof SimulatorSettings;

/** True for settings that shape the data set or the socket: `apply` refuses them. */
export const isFixedSetting = (name: SettingName): boolean =>
  settingsSchema.shape[name].meta()?.['population'] === true;

/** True when the flag needs no value. */
export const isToggle = (name: SettingName): boolean => settingsSchema.shape[name].meta()?.['toggle'] === true;

export const settingDescription = (name: SettingName): string => settingsSchema.shape[name].meta()?.description ?? '';

export const settingNames: readonly SettingName[] = settingsSchema.keyof().options;

/** Fills in the defaults. Throws a ZodError naming every setting that is unknown or out of range. */
export const parseSettings = (given: object): SimulatorSettings => settingsSchema.parse(given);

/** @returns the settings with some changed. Throws RangeError for fixed settings, ZodError for bad values. */
export function applySettings(current: SimulatorSettings, patch: object): SimulatorSettings {
  const fixed = settingNames.filter((name) => Object.hasOwn(patch, name) && isFixedSetting(name));
  if (fixed.length > 0)
    throw new RangeError(`these settings are fixed once the simulator has started: ${fixed.join(', ')}`);
  return settingsSchema.parse({ ...current, ...patch });
}
