/** Prints results in the terminal. */
import Table from 'cli-table3';
import type { Machine } from '../measure/machine.ts';
import { verdictOf, type SuiteResult } from './result.ts';

export function printMachine(machine: Machine, load: number): void {
  const stolen = machine.stolenPercent === null ? '' : `, ${machine.stolenPercent} % stolen since boot`;
  print(
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, node ${machine.node}${stolen}`,
  );
  print(`load ${load}${load > machine.cores / 2 ? ': the machine is busy, so look at ratios, not at seconds' : ''}`);
}

export function printSuite(result: SuiteResult): void {
  print(`\n${result.suite}: ${result.title} (${result.seconds} s, load ${result.loadBefore} when it began)`);
  for (const { title, columns, rows, note } of result.tables) {
    const table = new Table({ head: [...columns], style: { head: [], border: [] } });
    for (const row of rows) table.push(row.map((cell) => cell ?? '–'));
    print(`\n${title}\n${table.toString()}`);
    if (note !== undefined) print(note);
  }
  if (result.checks.length === 0) return;
  print('');
  for (const check of result.checks) {
    const verdict = check.holds === false ? 'FALLS SHORT' : verdictOf(check);
    print(`${verdict}: ${check.what}: ${check.measured} (promised ${check.target})`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
