/** `npm run source -- check FILE`: what is wrong with a description of a source, and what its API lets the job promise. Sends no request. */
import Table from 'cli-table3';
import { Argument } from 'commander';
import { commandLine, parseFlags, type Environment } from '../core/config.ts';
import { EXIT_CODES, type ExitCode } from '../core/errors.ts';
import { flatten } from '../core/redaction.ts';
import { variablesOf } from '../source/fill-in.ts';
import { readText } from '../source/named-source.ts';
import { GUARANTEE_ROWS, guaranteesOf, type Guarantees } from '../source/guarantees.ts';
import { readDescription, type Problem } from '../source/read-description.ts';

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
export function source(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const command = commandLine(
    'npm run source --',
    'check: problems of a description of a source, by line and column, and what its API lets the job promise. Sends no request.',
    [],
  );
  command.addArgument(new Argument('<action>').choices(['check']));
  command.argument('<file>', 'a description, like sources/github-issues.yaml');
  command.option('--json', 'print JSON, for machines');
  const { json } = parseFlags(command, argv, environment);
  const { text, exitCode } = checkFile(command.args[1] ?? '', environment, json === true);
  process.stdout.write(`${text}\n`);
  return Promise.resolve(exitCode);
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
