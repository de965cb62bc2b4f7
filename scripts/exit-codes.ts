/** What each exit code means and what to do. The type makes sure that every code is here. */
import { EXIT_CODES } from '../src/core/errors.ts';

const MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, readonly [meaning: string, whatToDo: string]>> = {
  complete: ['complete and checked', 'nothing'],
  unexpected: ['an unexpected error', 'start again; report the last line of the log'],
  configuration: [
    'wrong flags or settings; or the API or the database could not be reached at the start',
    'read the last line: it names the setting and what would be right. Nothing was changed',
  ],
  keyRefused: ['the API refused the key', 'check `TARGET_API_KEY`; a key works for three hours from its first use'],
  gaveUp: [
    'gave up and can go on: a wait longer than `--max-wait`, no progress, a full disk, or more rejected events than `--max-rejected`',
    'read the last line, then start again with the same settings: the job goes on where it was',
  ],
  countsDisagree: [
    'finished, but the counts do not agree: events are missing, or the counts of the run do not balance',
    '`npm run verify` shows the figures; `npm start -- --full` walks everything again',
  ],
  targetBusy: [
    'another run is working on this target',
    'wait for it, or stop it: the last line names its host and process',
  ],
  unfinished: [
    '`npm run export-ids`: the ids were written, but the run is not finished or not proven complete',
    '`npm start` completes it; `--partial` says that a part is wanted',
  ],
  interrupted: ['stopped by SIGINT (Ctrl-C)', 'start again: the job goes on where it was'],
  terminated: ['stopped by SIGTERM', 'start again: the job goes on where it was'],
};

export function exitCodeTable(): string {
  const rows = Object.entries(MEANINGS).map(([name, [meaning, whatToDo]]) => {
    const code = Object.entries(EXIT_CODES).find(([key]) => key === name)?.[1];
    return `| ${String(code)} | ${meaning} | ${whatToDo} |`;
  });
  return ['| code | meaning | what to do |', '| --- | --- | --- |', ...rows].join('\n');
}
