/** What each exit code means and what to do. The type makes sure that every code is here. */
import { EXIT_CODES } from '../src/core/errors.ts';

const MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, readonly [meaning: string, whatToDo: string]>> = {
  complete: ['complete and checked', 'nothing'],
  unexpected: ['an unexpected error', 'start again; report the last line of the log'],
  configuration: [
    'wrong flags or settings; the API or the database could not be reached at the start; a pooler or a timeout that the job cannot work with; or a source that the program does not understand: all its first events were rejected for one reason',
    'read the last line: it names the setting and what would be right',
  ],
  keyRefused: ['the API refused the key', 'check `TARGET_API_KEY`; a key works for three hours from its first use'],
  gaveUp: [
    'gave up and can go on: a wait longer than `--max-wait`, no progress, a full disk, or more rejected events than `--max-rejected`',
    'read the last line, then start again with the same settings: the job goes on where it was',
  ],
  countsDisagree: [
    'something is missing: events that the API counts, or rows that the job had left; or more than 5 % of the events were rejected (`--max-rejected`)',
    'read the last line: it has the figures and the ways on. `npm run verify` shows where it stands, `npm start -- --full` walks everything again',
  ],
  targetBusy: [
    'another run is working on this target',
    'wait for it, or stop it: the last line names its host and process',
  ],
  unfinished: [
    '`npm run export-ids` and `./submit.sh`: the run that the ids come from is not finished, or not proven complete. export-ids has written them, submit.sh has not sent them',
    '`npm start` completes it; `--partial` says that a part is wanted',
  ],
  hungUp: ['stopped by SIGHUP: its terminal was closed', 'start again: the job goes on where it was'],
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
