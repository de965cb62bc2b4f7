/**
 * `npm run source`: what is wrong with a description of a source, and what its API lets the job promise (`check`, no request); what a
 * few requests show of it (`probe`).
 */
import Table from 'cli-table3';
import { Argument } from 'commander';
import { describedSource } from '../app/run/described-source.ts';
import { probeSource } from '../app/run/probe-source.ts';
import { commandLine, readSettings, type Environment, type Settings } from '../core/config.ts';
import { ConfigurationError, EXIT_CODES, exitCodeOf, type ExitCode } from '../core/errors.ts';
import { flatten } from '../core/redaction.ts';
import { secretsIn, variablesOf } from '../source/fill-in.ts';
import { namedSource, readText } from '../source/named-source.ts';
import { GUARANTEE_ROWS, guaranteesOf, type Guarantees } from '../source/guarantees.ts';
import { readDescription, type Problem } from '../source/read-description.ts';
import { logEnd, logToStderr } from './end-of-command.ts';

interface Checked {
  readonly file: string;
  /** Of the source; null when there are problems. */
  readonly name: string | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Variables of the environment that a run needs and that are not set. */
  readonly unset: readonly string[];
  readonly card: Guarantees | null;
}

/** The command; prints to stdout. Code 2 for a description with problems. */
export async function source(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const command = commandLine(
    'npm run source --',
    'check: problems of a description of a source, by line and column, and what its API lets the job promise; sends no request. ' +
      'probe: holds it against its API with six requests at most; stores nothing.',
    ['network', 'output'],
  );
  command.addArgument(new Argument('<action>').choices(['check', 'probe']));
  command.argument('<file>', 'a description, like sources/github-issues.yaml');
  command.option('--json', 'print JSON, for machines');
  const settings = readSettings(command, argv, environment);
  const { json } = command.opts<{ json?: true }>();
  const [action, file = ''] = command.args;
  const { text, exitCode } = checkFile(file, environment, json === true);
  process.stdout.write(`${text}\n`);
  return action === 'check' || exitCode !== EXIT_CODES.complete
    ? exitCode
    : probe(file, settings, environment, json === true);
}

/** Code 2 where what was seen contradicts the description. */
async function probe(file: string, asked: Settings, environment: Environment, isJson: boolean): Promise<ExitCode> {
  const { description } = namedSource(file);
  const secrets = description === null ? [] : secretsIn(description, environment);
  const logger = logToStderr(asked, asked.logLevel === 'info' ? 'warn' : asked.logLevel, secrets);
  try {
    if (description === null) throw new ConfigurationError(`${file} describes the built-in source: npm start asks it.`);
    const { findings, requests } = await probeSource(describedSource(description, environment), asked, logger);
    const table = new Table({ colWidths: [23, 10, 83], wordWrap: true, style: { head: [], border: [] } });
    for (const { word, seen, holds } of findings)
      table.push([word, holds === null ? '–' : holds ? 'holds' : 'NO', flatten(seen)]);
    const text = isJson
      ? JSON.stringify({ findings, requests }, null, 2)
      : `${requests} requests showed:\n${table.toString()}`;
    process.stdout.write(`${text}\n`);
    return findings.some(({ holds }) => holds === false) ? EXIT_CODES.configuration : EXIT_CODES.complete;
  } catch (error) {
    logEnd(logger, error);
    return exitCodeOf(error);
  }
}

/** What the command prints, and what it ends with. @throws ConfigurationError for a file that cannot be read */
export function checkFile(
  file: string,
  environment: Environment,
  isJson: boolean,
): { readonly text: string; readonly exitCode: ExitCode } {
  const checked = check(file, environment);
  return {
    text: isJson ? JSON.stringify(checked, null, 2) : describe(checked),
    exitCode: checked.problems.length === 0 ? EXIT_CODES.complete : EXIT_CODES.configuration,
  };
}

function check(file: string, environment: Environment): Checked {
  const { description, problems, warnings } = readDescription(readText(file));
  if (description === null) return { file, name: null, problems, warnings, unset: [], card: null };
  const unset = variablesOf(description).filter((name) => (environment[name] ?? '').trim() === '');
  return { file, name: description.name, problems, warnings, unset, card: guaranteesOf(description) };
}

function describe({ file, name, problems, warnings, unset, card }: Checked): string {
  const line = (kind: string) => (found: Problem) =>
    flatten(`${file}:${found.line}:${found.column}: ${kind}${found.message}`);
  const lines = [...problems.map(line('')), ...warnings.map(line('warning: '))];
  if (unset.length > 0) {
    const are = unset.length === 1 ? 'is' : 'are';
    lines.push(
      `${unset.join(' and ')} ${are} not set in the environment: a run needs ${unset.length === 1 ? 'it' : 'them'}.`,
    );
  }
  if (card === null) return lines.join('\n');
  return [...lines, `What a run of ${name ?? file} promises:`, cardTable(card)].join('\n');
}

function cardTable(card: Guarantees): string {
  const table = new Table({ colWidths: [23, 25, 68], wordWrap: true, style: { head: [], border: [] } });
  for (const [key, name] of GUARANTEE_ROWS) table.push([name, card[key].answer, card[key].sentence]);
  return table.toString();
}
