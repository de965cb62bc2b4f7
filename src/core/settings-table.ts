/**
 * Every setting, once: flag, variable, kind, one sentence, default, unit. Help texts, `.env.example` and the documents
 * are made from this table.
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import {
  bound,
  bytes,
  choice,
  databaseAddress,
  decimal,
  duration,
  headerText,
  hostName,
  httpUrl,
  instant,
  integer,
  onOff,
  sourceName,
} from './setting-kinds.ts';
import { inGroup, registry, type SettingMeta, type SettingOptions } from './setting-registry.ts';

export { SETTING_GROUPS, type SettingGroup } from './setting-registry.ts';

const source = inGroup('source');
const database = inGroup('database');
const speed = inGroup('speed');
const run = inGroup('run');
const follow = inGroup('follow');
const limits = inGroup('limits');
const network = inGroup('network');
const serving = inGroup('serving');
const output = inGroup('output');

const SWITCH: SettingOptions = { default: '0', isSwitch: true };
const PROXY: SettingOptions = { secret: true, variableOnly: true };

export const settingsSchema = z.object({
  apiBaseUrl: source(
    'API_BASE_URL',
    httpUrl.transform((text) => text.replace(/\/+$/, '')),
    'Address of the API; ends in /api/v1.',
    { default: 'https://datasync-api.example.com/api/v1' },
  ),
  apiKey: source(
    'TARGET_API_KEY',
    headerText.optional(),
    'Key of the API. Better set as a variable: flags can be seen by other users of the machine.',
    { secret: true },
  ),
  endpoint: source(
    'API_ENDPOINT',
    choice(['auto', 'stream', 'events']),
    'stream, events, or auto: stream where the API offers it, else events.',
    { default: 'auto' },
  ),
  userAgent: source('API_USER_AGENT', headerText, 'User-Agent of every request.', {
    default: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  }),

  databaseUrl: database(
    'DATABASE_URL',
    databaseAddress.optional(),
    'PostgreSQL 13 to 18; sslmode and CA settings as in libpq. Not set: an embedded PostgreSQL.',
    { secret: true },
  ),
  source: database(
    'SOURCE_NAME',
    sourceName,
    'Name of the source, whose state and table are its own. The table of datasync is ingested_events, of others their name.',
    { default: 'datasync', unit: 'name' },
  ),
  dataDir: database('DATA_DIR', z.string().min(1), 'Folder of the embedded PostgreSQL and of receipts.', {
    default: '.data',
  }),

  concurrency: speed('WORKER_CONCURRENCY', integer(1, 256), 'Pages requested at the same time.', {
    default: '8',
    unit: 'pages',
  }),
  threads: speed(
    'WORKER_THREADS',
    integer(1, 64),
    'Worker threads that scan and encode pages; by default one a core. More than cores cost 30 MB each, and bring nothing.',
    {
      default: String(Math.min(64, availableParallelism())),
      unit: 'threads',
    },
  ),
  connections: speed('DB_CONNECTIONS', integer(1, 64), 'COPY connections; state and merges use a few more.', {
    default: '4',
    unit: 'connections',
  }),
  pageSize: speed('BATCH_SIZE', integer(1, 50_000), 'Events a request asks for; the API caps it at 5000.', {
    default: '5000',
    unit: 'events',
  }),
  mergeInterval: speed(
    'MERGE_INTERVAL',
    duration(1, 3600),
    'How often staging is merged: this much work a database crash can cost, four times it in a first load.',
    { default: '15', unit: 'seconds' },
  ),
  maxRps: speed(
    'MAX_RPS',
    decimal(0.001, 100_000).optional(),
    'Upper bound on requests a second, for a key that others use too.',
    { unit: 'requests/s' },
  ),
  maxBytesInFlight: speed(
    'MAX_BYTES_IN_FLIGHT',
    bytes(8 * 2 ** 20, 16 * 2 ** 30),
    'Cap on page bytes in memory; a page that alone would exceed it is requested again with half the limit.',
    { default: '96MiB', unit: 'bytes' },
  ),

  onConflict: run(
    'ON_CONFLICT',
    choice(['ignore', 'update']),
    'ignore keeps the first row of an id, update the newest.',
    {
      default: 'ignore',
    },
  ),
  idType: run(
    'ID_TYPE',
    choice(['auto', 'uuid', 'text']),
    'Type of the id column of a new table; auto looks at the first events.',
    { default: 'auto' },
  ),
  since: run(
    'SINCE',
    instant.optional(),
    'Take only events from this time on: ISO 8601, in UTC unless it names a zone, or an epoch.',
    {
      unit: 'time',
    },
  ),
  until: run('UNTIL', instant.optional(), 'Take only events up to this time.', { unit: 'time' }),
  lookback: run(
    'LOOKBACK',
    duration(0, 366 * 86_400),
    'How far before the watermark an incremental run begins, to catch late arrivals.',
    { default: '1h', unit: 'duration' },
  ),
  full: run('FULL', onOff, 'Walk the whole data set again instead of only what is new.', SWITCH),
  acceptFewerRows: run(
    'ACCEPT_FEWER_ROWS',
    onOff,
    'Go on although the target has fewer rows than the job left in it; what was deleted stays deleted.',
    SWITCH,
  ),
  newRun: run('NEW_RUN', onOff, 'Give up the unfinished run and begin again; rows are kept.', SWITCH),
  reset: run('RESET', onOff, 'Empty the target and the state first; asks for confirmation.', SWITCH),
  yes: run('ASSUME_YES', onOff, 'Answer yes to the confirmation of --reset.', SWITCH),

  follow: follow(
    'FOLLOW',
    duration(5, 7 * 86_400).optional(),
    'Stay after a complete run, and look for new events this often; without a value 30s. Not set: off.',
    { unit: 'duration', bare: '30s' },
  ),
  proveEvery: follow(
    'PROVE_EVERY',
    duration(60, 366 * 86_400),
    "How often --follow holds what it took against the API's total.",
    { default: '1d', unit: 'duration' },
  ),

  wait: follow(
    'WAIT_FOR_TURN',
    onOff,
    'Wait while another process works on the source, and take over when it ends: a standby.',
    SWITCH,
  ),
  maxLag: follow(
    'MAX_LAG',
    duration(1, 366 * 86_400).optional(),
    '/health says degraded when the newest event is older than this. Not set: off.',
    { unit: 'duration' },
  ),
  keepAnomalies: follow(
    'KEEP_ANOMALIES',
    duration(3_600, 3_660 * 86_400).optional(),
    'How long --follow keeps anomalies, and with them the bytes of rejected events. Not set: for ever.',
    { unit: 'duration' },
  ),

  maxWait: limits(
    'MAX_WAIT',
    duration(1, 7 * 86_400),
    'Give up with exit code 4 after this long without progress, or when asked to wait longer than this.',
    { default: '600', unit: 'seconds' },
  ),
  maxEventBytes: limits('MAX_EVENT_BYTES', bytes(1024, 256 * 2 ** 20), 'A larger event is rejected.', {
    default: '16MiB',
    unit: 'bytes',
  }),
  maxRejected: limits(
    'MAX_REJECTED',
    bound.optional(),
    'A number: end with exit code 4 when more events are rejected. A percentage: with code 5 at the end. Not set: 5 % and 20 events.',
    { unit: 'events or %' },
  ),

  connectTimeout: network('CONNECT_TIMEOUT', duration(0.1, 300), 'Time limit for connecting to the API.', {
    default: '10',
    unit: 'seconds',
  }),
  pageTimeout: network(
    'PAGE_TIMEOUT',
    duration(0.1, 3600),
    'Time limit for one answer of the API, from the request to the last byte.',
    { default: '60', unit: 'seconds' },
  ),
  keepAlive: network(
    'KEEP_ALIVE',
    duration(0, 600).optional(),
    'Does nothing any more; still accepted, and removed in the next version.',
    { unit: 'seconds' },
  ),
  httpProxy: network('HTTP_PROXY', httpUrl.optional(), 'Proxy for http addresses.', PROXY),
  httpsProxy: network('HTTPS_PROXY', httpUrl.optional(), 'Proxy for https addresses.', PROXY),
  noProxy: network('NO_PROXY', z.string().optional(), 'Hosts that are reached without a proxy.', {
    variableOnly: true,
  }),

  httpPort: serving(
    'HTTP_PORT',
    integer(0, 65_535).optional(),
    'Serve the live page, /metrics, /health and /ready on this port (0: any free one). Not set: off.',
    { unit: 'port' },
  ),
  httpHost: serving('HTTP_HOST', hostName, 'Address to serve on.', { default: '127.0.0.1' }),
  stay: serving('KEEP_SERVING', onOff, 'Keep serving after the end, until stopped.', SWITCH),
  stallAfter: serving(
    'HEALTH_STALL_AFTER',
    duration(1, 86_400),
    '/health answers 503 when nothing has moved for this long; waits that the API asked for do not count.',
    { default: '120', unit: 'seconds' },
  ),

  logFormat: output(
    'LOG_FORMAT',
    choice(['auto', 'json', 'pretty']),
    'json, pretty, or auto: pretty when stdout is a terminal.',
    { default: 'auto' },
  ),
  logLevel: output(
    'LOG_LEVEL',
    choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    'trace, debug, info, warn, error, fatal or silent.',
    { default: 'info' },
  ),
});

export interface Setting extends SettingMeta {
  readonly name: string;
  /** `--page-size` */
  readonly flag: string;
}

/** The table, for help texts and documents. */
export const SETTINGS: readonly Setting[] = Object.entries(settingsSchema.shape).map(([name, schema]) => {
  const meta = registry.get(schema);
  if (meta === undefined) throw new Error(`setting ${name} is not in the registry`);
  return { ...meta, name, flag: flagOf(name) };
});

/** `pageSize` → `--page-size` */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
