/** What the job does with tables of others, from the cases that the tests play. */
import { LOADED_CASES, SET_ASIDE_CASES, type LoadedCase, type TargetCase } from '../test/integration/target/cases.ts';
import { REFUSED_CASES } from '../test/integration/target/refused-cases.ts';
import { TOLD_CASES } from '../test/integration/target/told-cases.ts';

export function targetTables(): string {
  const told = Object.values(TOLD_CASES);
  const loaded = [
    ...LOADED_CASES.map((entry) => [subject(entry), firstLoad(entry)]),
    ...told.flatMap((entry) => (entry.outcome === 'loaded' ? [[entry.what, entry.firstLoad]] : [])),
  ];
  const setAside = [
    ...SET_ASIDE_CASES.map((entry) => [subject(entry), quoted(entry.reason)]),
    ...told.flatMap((entry) => (entry.outcome === 'set aside' ? [[entry.what, quoted(entry.reason)]] : [])),
  ];
  const refused = [
    ...REFUSED_CASES.map((entry) => [subject(entry), quoted(entry.says), entry.whatToDo]),
    ...told.flatMap((entry) => (entry.outcome === 'refused' ? [[entry.what, quoted(entry.says), entry.whatToDo]] : [])),
  ];
  return [
    '**Works.** Events are loaded, and updated by later runs with `--on-conflict update`.',
    table(['it has', 'first load into the empty table'], loaded),
    '**Works, and single events are set aside.** All others are loaded; `npm run anomalies` shows these, with the reason.',
    table(['it has', 'the reason has'], setAside),
    '**Refused with code 2.** The table stays as it was.',
    table(['it has', 'the last line says', 'what to do'], refused),
  ].join('\n\n');
}

function subject({ what, since }: TargetCase): string {
  return since === undefined ? what : `${what} (PostgreSQL ${since})`;
}

function firstLoad({ keyStays, addsOnly }: LoadedCase): string {
  const way = keyStays === undefined ? 'quick' : `keeps the key: ${keyStays}`;
  return addsOnly === true ? `${way}; \`--on-conflict update\` needs \`UPDATE\`, too` : way;
}

/** What a program says. A backquote in it would end the code. */
function quoted(text: string): string {
  return `\`${text.trim().replace(/[: ]+$/, '')}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
