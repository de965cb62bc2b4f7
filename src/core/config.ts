/**
 * Every setting, once: flag, variable, default, range, one sentence. Help text, `.env.example` and the documents come
 * from this table. It is read once at the start; nothing else reads `process.env`.
 *
 * A flag beats a variable, a variable beats the default; an empty variable counts as not set.
 */
import { availableParallelism } from 'node:os';
import { Command, CommanderError, Option } from 'commander';
import { z } from 'zod';
import { ConfigurationError } from './errors.ts';
import {
  bytes,
  choice,
  databaseAddress,
  decimal,
  duration,
  headerText,
  hostName,
  instant,
  integer,
  onOff,
  url,
} from './setting-kinds.ts';

/** Groups of settings; a command takes the groups it needs. */
export type SettingGroup = 'source' | 'database' | 'speed' | 'run' | 'limits' | 'network' | 'output' | 'serving';

export interface SettingMeta {
  readonly group: SettingGroup;
  readonly variable: string;
  /** As a person would write it; undefined: not set unless somebody sets it. */
  readonly default?: string;
  readonly unit?: string;
  readonly secret?: boolean;
  /** A switch: the flag takes no value. */
  readonly isSwitch?: boolean;
  /** Only a variable, no flag: names that other programs already use. */
  readonly variableOnly?: boolean;
  readonly text: string;
}

const settingRegistry = z.registry<SettingMeta>();

const settingsSchema = z.object({
  apiBaseUrl: url(['http:', 'https:'])
    .transform((text) => text.replace(/\/+$/, ''))
    .register(settingRegistry, {
      group: 'source',
      variable: 'API_BASE_URL',
      default: 'https://datasync-api.example.com/api/v1',
      text: 'Address of the API; ends in /api/v1.',
    }),
  apiKey: headerText.optional().register(settingRegistry, {
    group: 'source',
    variable: 'TARGET_API_KEY',
    secret: true,
    text: 'Key of the API. Better set as a variable: flags can be seen by other users of the machine.',
  }),
  endpoint: choice(['auto', 'stream', 'events']).register(settingRegistry, {
    group: 'source',
    variable: 'API_ENDPOINT',
    default: 'auto',
    text: 'auto (stream where it is to be had, else events), stream, or events.',
  }),
  userAgent: headerText.register(settingRegistry, {
    group: 'source',
    variable: 'API_USER_AGENT',
    default: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
    text: 'User-Agent of every request.',
  }),
  databaseUrl: databaseAddress.optional().register(settingRegistry, {
    group: 'database',
    variable: 'DATABASE_URL',
    secret: true,
    text: 'PostgreSQL 13 to 18; sslmode and CA settings as in libpq. Not set: an embedded PostgreSQL.',
  }),
  dataDir: z.string().min(1).register(settingRegistry, {
    group: 'database',
    variable: 'DATA_DIR',
    default: '.data',
    text: 'Folder of the embedded PostgreSQL and of receipts.',
  }),
  concurrency: integer(1, 256).register(settingRegistry, {
    group: 'speed',
    variable: 'WORKER_CONCURRENCY',
    default: '8',
    unit: 'pages',
    text: 'Pages asked for at the same time.',
  }),
  threads: integer(1, 64).register(settingRegistry, {
    group: 'speed',
    variable: 'WORKER_THREADS',
    default: String(Math.min(64, availableParallelism())),
    unit: 'threads',
    text: 'Piscina threads that scan and encode pages; by default one a core.',
  }),
  connections: integer(1, 64).register(settingRegistry, {
    group: 'speed',
    variable: 'DB_CONNECTIONS',
    default: '4',
    unit: 'connections',
    text: 'COPY connections; a few more are used for state and merging.',
  }),
  pageSize: integer(1, 50_000).register(settingRegistry, {
    group: 'speed',
    variable: 'BATCH_SIZE',
    default: '5000',
    unit: 'events',
    text: 'Events a request asks for; the API caps it at 5000.',
  }),
  mergeInterval: duration(1, 3600).register(settingRegistry, {
    group: 'speed',
    variable: 'MERGE_INTERVAL',
    default: '15',
    unit: 'seconds',
    text: 'How often staging is merged: what a database crash can cost.',
  }),
  maxRps: decimal(0.001, 100_000).optional().register(settingRegistry, {
    group: 'speed',
    variable: 'MAX_RPS',
    unit: 'requests/s',
    text: 'Upper bound on requests a second, for a shared key.',
  }),
  maxBytesInFlight: bytes(8 * 2 ** 20, 16 * 2 ** 30).register(settingRegistry, {
    group: 'speed',
    variable: 'MAX_BYTES_IN_FLIGHT',
    default: '96MiB',
    unit: 'bytes',
    text: 'Cap on page bytes in memory; a page that alone would break it is asked for again with half the limit.',
  }),
  onConflict: choice(['ignore', 'update']).register(settingRegistry, {
    group: 'run',
    variable: 'ON_CONFLICT',
    default: 'ignore',
    text: 'ignore keeps the first row of an id, update the newest.',
  }),
  idType: choice(['auto', 'uuid', 'text']).register(settingRegistry, {
    group: 'run',
    variable: 'ID_TYPE',
    default: 'auto',
    text: 'Type of the id column of a new table; auto looks at the first events.',
  }),
  since: instant.optional().register(settingRegistry, {
    group: 'run',
    variable: 'SINCE',
    unit: 'time',
    text: 'Take only events from this time on (ISO 8601 or epoch milliseconds).',
  }),
  until: instant.optional().register(settingRegistry, {
    group: 'run',
    variable: 'UNTIL',
    unit: 'time',
    text: 'Take only events up to this time.',
  }),
  lookback: duration(0, 366 * 86_400).register(settingRegistry, {
    group: 'run',
    variable: 'LOOKBACK',
    default: '1h',
    unit: 'duration',
    text: 'How far an incremental run goes back behind the watermark, for late arrivals.',
  }),
  full: onOff().register(settingRegistry, {
    group: 'run',
    variable: 'FULL',
    default: '0',
    isSwitch: true,
    text: 'Walk the whole data set again instead of only what is new.',
  }),
  newRun: onOff().register(settingRegistry, {
    group: 'run',
    variable: 'NEW_RUN',
    default: '0',
    isSwitch: true,
    text: 'Give up the unfinished run and begin again; rows are kept.',
  }),
  reset: onOff().register(settingRegistry, {
    group: 'run',
    variable: 'RESET',
    default: '0',
    isSwitch: true,
    text: 'Empty the target and the state first; asks for confirmation.',
  }),
  yes: onOff().register(settingRegistry, {
    group: 'run',
    variable: 'ASSUME_YES',
    default: '0',
    isSwitch: true,
    text: 'Answer yes to the confirmation of --reset.',
  }),
  maxWait: duration(1, 7 * 86_400).register(settingRegistry, {
    group: 'limits',
    variable: 'MAX_WAIT',
    default: '600',
    unit: 'seconds',
    text: 'Without progress, or asked to wait, longer than this: give up with exit code 4.',
  }),
  maxEventBytes: bytes(1024, 256 * 2 ** 20).register(settingRegistry, {
    group: 'limits',
    variable: 'MAX_EVENT_BYTES',
    default: '16MiB',
    unit: 'bytes',
    text: 'A larger event is rejected.',
  }),
  maxRejected: integer(0, Number.MAX_SAFE_INTEGER).optional().register(settingRegistry, {
    group: 'limits',
    variable: 'MAX_REJECTED',
    unit: 'events',
    text: 'More rejected events than this: end with exit code 4. Not set: unlimited.',
  }),
  connectTimeout: duration(0.1, 300).register(settingRegistry, {
    group: 'network',
    variable: 'CONNECT_TIMEOUT',
    default: '10',
    unit: 'seconds',
    text: 'For a connection to the API.',
  }),
  pageTimeout: duration(0.1, 3600).register(settingRegistry, {
    group: 'network',
    variable: 'PAGE_TIMEOUT',
    default: '60',
    unit: 'seconds',
    text: 'For one whole answer of the API, from request to last byte.',
  }),
  keepAlive: duration(0, 600).register(settingRegistry, {
    group: 'network',
    variable: 'KEEP_ALIVE',
    default: '4',
    unit: 'seconds',
    text: 'How long an idle connection is kept; must be shorter than what the server does.',
  }),
  httpProxy: url(['http:', 'https:']).optional().register(settingRegistry, {
    group: 'network',
    variable: 'HTTP_PROXY',
    secret: true,
    variableOnly: true,
    text: 'Proxy for http addresses.',
  }),
  httpsProxy: url(['http:', 'https:']).optional().register(settingRegistry, {
    group: 'network',
    variable: 'HTTPS_PROXY',
    secret: true,
    variableOnly: true,
    text: 'Proxy for https addresses.',
  }),
  noProxy: z.string().optional().register(settingRegistry, {
    group: 'network',
    variable: 'NO_PROXY',
    variableOnly: true,
    text: 'Hosts that are reached without a proxy.',
  }),
  httpPort: integer(0, 65_535).optional().register(settingRegistry, {
    group: 'serving',
    variable: 'HTTP_PORT',
    unit: 'port',
    text: 'Serve the live page, /metrics, /health and /ready on this port (0: any free one). Not set: off.',
  }),
  httpHost: hostName.register(settingRegistry, {
    group: 'serving',
    variable: 'HTTP_HOST',
    default: '127.0.0.1',
    text: 'Address to serve on.',
  }),
  stay: onOff().register(settingRegistry, {
    group: 'serving',
    variable: 'KEEP_SERVING',
    default: '0',
    isSwitch: true,
    text: 'Go on serving after the end, until stopped.',
  }),
  stallAfter: duration(1, 86_400).register(settingRegistry, {
    group: 'serving',
    variable: 'HEALTH_STALL_AFTER',
    default: '120',
    unit: 'seconds',
    text: '/health answers 503 when nothing has moved for this long, waits the API asked for left out.',
  }),
  logFormat: choice(['auto', 'json', 'pretty']).register(settingRegistry, {
    group: 'output',
    variable: 'LOG_FORMAT',
    default: 'auto',
    text: 'json, pretty, or auto: pretty when stdout is a terminal.',
  }),
  logLevel: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).register(settingRegistry, {
    group: 'output',
    variable: 'LOG_LEVEL',
    default: 'info',
    text: 'trace, debug, info, warn, error, fatal or silent.',
  }),
});

export type Settings = Readonly<z.output<typeof settingsSchema>>;
export type SettingName = keyof Settings;

export interface Setting extends SettingMeta {
  readonly name: string;
  /** `--page-size`; the variable's name alone where there is no flag. */
  readonly flag: string;
}

/** The table, for help texts and documents. */
export const SETTINGS: readonly Setting[] = Object.entries(settingsSchema.shape).map(([name, schema]) => {
  const meta = settingRegistry.get(schema);
  if (meta === undefined) throw new Error(`setting ${name} is not in the registry`);
  return { ...meta, name, flag: `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}` };
});

export type Environment = Readonly<Record<string, string | undefined>>;

/** Proxy variables are written in lower case as often as in upper case. */
function readVariable(environment: Environment, setting: Setting): string | undefined {
  const value =
    environment[setting.variable] ?? (setting.variableOnly ? environment[setting.variable.toLowerCase()] : undefined);
  return value === undefined || value.trim() === '' ? undefined : value.trim();
}

function helpText(setting: Setting): string {
  const notes = [setting.variable];
  if (setting.unit !== undefined) notes.push(setting.unit);
  if (setting.default !== undefined && !setting.isSwitch) notes.push(`default ${setting.default}`);
  return `${setting.text} [${notes.join('; ')}]`;
}

/**
 * A command line that takes the settings of some groups; add the command's own options to it before parsing.
 * Parsing throws CommanderError instead of ending the process.
 */
export function commandLine(name: string, description: string, groups: readonly SettingGroup[]): Command {
  const command = new Command(name).description(description).exitOverride().allowExcessArguments(false);
  command.configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  command.configureHelp({ helpWidth: 120 });
  for (const setting of SETTINGS) {
    if (setting.variableOnly || !groups.includes(setting.group)) continue;
    command.addOption(
      new Option(setting.isSwitch ? setting.flag : `${setting.flag} <${setting.unit ?? 'value'}>`, helpText(setting)),
    );
  }
  return command;
}

/** Thrown when `--help` was asked for: its text has been printed, there is nothing more to do. */
export class HelpShown extends Error {}

/**
 * Flags and variables to settings. `argv` is without node and script.
 * @throws ConfigurationError naming every problem at once; HelpShown after `--help`.
 */
export function readSettings(command: Command, argv: readonly string[], environment: Environment): Settings {
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') throw new HelpShown();
    const problem =
      error.code === 'commander.excessArguments'
        ? `"${argv.find((argument) => !argument.startsWith('-')) ?? ''}" is neither a command nor a flag`
        : error.message.replace(/^error: /, '').replace(/\s+/g, ' ');
    throw new ConfigurationError(`${problem}; --help lists what there is`, { cause: error });
  }
  const flags = command.opts<Record<string, unknown>>();
  const raw: Record<string, string> = {};
  for (const setting of SETTINGS) {
    const flag = flags[setting.name];
    const value =
      flag === true ? '1' : typeof flag === 'string' ? flag : (readVariable(environment, setting) ?? setting.default);
    if (value !== undefined) raw[setting.name] = value;
  }
  const parsed = settingsSchema.safeParse(raw);
  if (parsed.success) {
    const { since, until } = parsed.data;
    if (since !== undefined && until !== undefined && since > until) {
      throw new ConfigurationError('--since (SINCE) is later than --until (UNTIL): nothing lies between them');
    }
    return Object.freeze(parsed.data);
  }
  const problems = parsed.error.issues.map((issue) => {
    const setting = SETTINGS.find((candidate) => candidate.name === issue.path[0]);
    if (setting === undefined) return issue.message;
    const text = setting.secret ? issue.message.replace(/, got ".*"$/, '') : issue.message;
    return setting.variableOnly ? `${setting.variable}: ${text}` : `${setting.flag} (${setting.variable}): ${text}`;
  });
  throw new ConfigurationError(problems.join('; '));
}

/** Values that must never be printed: the key, and the passwords inside addresses, raw and decoded. */
export function secretsOf(settings: Settings): string[] {
  const secrets = new Set<string>();
  if (settings.apiKey !== undefined) secrets.add(settings.apiKey);
  for (const address of [settings.databaseUrl, settings.httpProxy, settings.httpsProxy, settings.apiBaseUrl]) {
    const password = address === undefined ? undefined : URL.parse(address)?.password;
    if (!password) continue;
    secrets.add(password);
    secrets.add(decodeURIComponent(password));
  }
  return [...secrets].filter((secret) => secret.length > 0);
}
