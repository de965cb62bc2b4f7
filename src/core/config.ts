/**
 * Reads the settings of settings-table.ts from flags and variables, once at the start; nothing else reads `process.env`.
 *
 * A flag beats a variable, a variable beats the default; an empty variable counts as not set.
 */
import { Command, CommanderError, Option } from 'commander';
import type { z } from 'zod';
import { passwordsIn } from './addresses.ts';
import { ConfigurationError } from './errors.ts';
import { SETTINGS, settingsSchema, type Setting, type SettingGroup } from './settings-table.ts';

export type Settings = Readonly<z.output<typeof settingsSchema>>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Thrown when `--help` was asked for: its text has been printed, there is nothing more to do. */
export class HelpShown extends Error {}

/** A command line that takes the settings of some groups; add the command's own options to it before parsing. */
export function commandLine(name: string, description: string, groups: readonly SettingGroup[]): Command {
  const command = new Command(name).description(description).exitOverride().allowExcessArguments(false);
  command.configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  command.configureHelp({ helpWidth: 120 });
  for (const setting of SETTINGS) {
    if (setting.variableOnly || !groups.includes(setting.group)) continue;
    command.addOption(new Option(`${setting.flag}${valueOf(setting)}`, helpText(setting)));
  }
  return command;
}

function valueOf({ isSwitch = false, bare, unit = 'value' }: Setting): string {
  if (isSwitch) return '';
  return bare === undefined ? ` <${unit}>` : ` [${unit}]`;
}

function helpText(setting: Setting): string {
  const notes = [setting.variable];
  if (setting.unit !== undefined) notes.push(setting.unit);
  if (setting.default !== undefined && !setting.isSwitch) notes.push(`default ${setting.default}`);
  return `${setting.text} [${notes.join('; ')}]`;
}

/** Flags of ours that are settings of npm, too: npm leaves them in the environment though nobody has given one to us. */
const OWN_FLAGS_OF_NPM = new Set(['--cache', '--json', '--key', '--user-agent', '--yes']);
/** What a mistyped flag or command may look like; anything else may be a secret, and is not repeated. */
const HARMLESS = /^-{0,2}[a-z][a-z-]{0,30}$/;

/**
 * The options that a command line was given. `argv` is without node and script.
 * @throws ConfigurationError for what the command does not take; HelpShown after `--help`
 */
export function parseFlags(
  command: Command,
  argv: readonly string[],
  environment: Environment,
): Readonly<Record<string, unknown>> {
  const flags = command.options.map(({ long }) => long ?? '');
  const swallowed = flags.filter((flag) => !OWN_FLAGS_OF_NPM.has(flag) && leftByNpm(flag, environment) !== undefined);
  if (swallowed.length > 0) {
    throw new ConfigurationError(
      `npm has taken ${swallowed.join(' and ')} for itself: write -- before flags, as in ${command.name()} ${swallowed.join(' ')}`,
    );
  }
  try {
    return command.parse([...argv], { from: 'user' }).opts<Record<string, unknown>>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') throw new HelpShown();
    throw new ConfigurationError(`${describeMistake(error, command.args)}; --help lists what there is`);
  }
}

/** `npm start --max-rps=1` runs the program without the flag, and with this variable. */
function leftByNpm(flag: string, environment: Environment): string | undefined {
  return environment[`npm_config_${flag.slice(2).replaceAll('-', '_')}`];
}

function describeMistake({ code, message }: CommanderError, words: readonly string[]): string {
  if (code === 'commander.excessArguments') {
    const word = words.find((candidate) => HARMLESS.test(candidate));
    return word === undefined
      ? 'something on the command line is neither a command nor a flag'
      : `"${word}" is neither a command nor a flag`;
  }
  const mistake = message.replace(/^error: |\.$/g, '').replace(/\s+/g, ' ');
  if (code !== 'commander.unknownOption') return mistake;
  const [, flag = ''] = /^unknown option '([^'=]*)/.exec(mistake) ?? [];
  const advice = /\(Did you mean [^)]*\)/.exec(mistake)?.[0] ?? '';
  return `unknown option ${HARMLESS.test(flag) ? `'${flag}'` : ''} ${advice}`.replace(/\s+/g, ' ').trim();
}

/**
 * Flags and variables to settings.
 * @throws ConfigurationError naming every wrong value at once; HelpShown after `--help`
 */
export function readSettings(command: Command, argv: readonly string[], environment: Environment): Settings {
  const flags = parseFlags(command, argv, environment);
  const raw: Record<string, string> = {};
  for (const setting of SETTINGS) {
    const flag = flags[setting.name];
    const value =
      flag === true ? (setting.bare ?? '1') : typeof flag === 'string' ? flag : readVariable(environment, setting);
    if (value !== undefined) raw[setting.name] = value;
  }
  const parsed = settingsSchema.safeParse(raw);
  if (!parsed.success) throw new ConfigurationError(describeProblems(parsed.error));
  const { since, until } = parsed.data;
  if (since !== undefined && until !== undefined && since > until) {
    throw new ConfigurationError('--since (SINCE) is later than --until (UNTIL): nothing lies between them');
  }
  if (parsed.data.follow !== undefined && (since !== undefined || until !== undefined)) {
    throw new ConfigurationError(
      '--follow (FOLLOW) takes whatever is new: leave out --since (SINCE) and --until (UNTIL)',
    );
  }
  return Object.freeze(parsed.data);
}

/** The variable, else the default. Proxy variables are written in lower case as often as in upper case. */
function readVariable(environment: Environment, setting: Setting): string | undefined {
  const lowerCase = setting.variableOnly ? environment[setting.variable.toLowerCase()] : undefined;
  const value = (environment[setting.variable] ?? lowerCase ?? '').trim();
  return value === '' ? setting.default : value;
}

function describeProblems(error: z.ZodError): string {
  const problems = error.issues.map(({ path, message }) => {
    const setting = SETTINGS.find(({ name }) => name === path[0]);
    if (setting === undefined) return message;
    return setting.variableOnly
      ? `${setting.variable}: ${message}`
      : `${setting.flag} (${setting.variable}): ${message}`;
  });
  return problems.join('; ');
}

/**
 * Values that must not be printed: the key, and the passwords of addresses, as written and decoded. A password that is also the
 * user, the host or the database of its address is none of them: it is hidden in addresses only, as every password is.
 */
export function secretsOf({ apiKey, databaseUrl, httpProxy, httpsProxy, apiBaseUrl }: Settings): string[] {
  const addresses = [databaseUrl, httpProxy, httpsProxy, apiBaseUrl].filter((address) => address !== undefined);
  return [...(apiKey === undefined ? [] : [apiKey]), ...addresses.flatMap(passwordsIn)];
}
