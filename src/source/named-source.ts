/** What `--source` names: a source by its name, or by the file of its description. */
import { readFileSync } from 'node:fs';
import { ConfigurationError, describeError } from '../core/errors.ts';
import type { Description } from './description.ts';
import { readDescription } from './read-description.ts';

export interface NamedSource {
  readonly name: string;
  /** `null` where only the name is given. */
  readonly description: Description | null;
}

/** The source that is loaded unless another is named. Its stream access is code: its description is read by people alone. */
const BUILT_IN = 'datasync';

/** @throws ConfigurationError for a file that cannot be read, or has problems: all of them, by line and column */
export function namedSource(text: string): NamedSource {
  if (!/\.ya?ml$/i.test(text)) return { name: text, description: null };
  const { description, problems } = readDescription(readText(text));
  if (description === null) {
    const lines = problems.map(({ line, column, message }) => `${text}:${line}:${column}: ${message}`);
    throw new ConfigurationError(`The description of the source has problems; nothing was asked.\n${lines.join('\n')}`);
  }
  return { name: description.name, description: description.name === BUILT_IN ? null : description };
}

/** @throws ConfigurationError */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigurationError(`The description ${file} cannot be read: ${describeError(error)}.`);
  }
}
