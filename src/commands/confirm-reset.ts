/** `--reset` empties the target: it asks first, unless `--yes` has answered. */
import { createInterface } from 'node:readline/promises';
import type { Settings } from '../core/config.ts';
import { ConfigurationError } from '../core/errors.ts';

/** @param name of the table. @throws ConfigurationError when the answer is not yes, or nobody is there to ask */
export async function confirmReset(settings: Pick<Settings, 'yes'>, name: string): Promise<void> {
  if (settings.yes) return;
  if (!process.stdin.isTTY) {
    throw new ConfigurationError(
      `--reset empties ${name} and the state of all its runs. There is no terminal to ask for confirmation: add --yes. Nothing was changed.`,
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`--reset deletes all rows of ${name} and its state. Type yes: `);
    if (answer.trim() !== 'yes') throw new ConfigurationError('--reset was not confirmed. Nothing was changed.');
  } finally {
    terminal.close();
  }
}
