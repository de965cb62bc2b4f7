/** A history and what came of it, as a person reads it. */
import type { History, StartStep, Step } from './history.ts';
import type { Played } from './play.ts';

const LAST_LINES = 15;
const LAST_REQUESTS = 60;

export function tellHistory({ api, data, steps, salt }: History): string {
  const lines = [`API:   ${JSON.stringify(api)}`, `data:  ${JSON.stringify(data)} salt ${salt}`];
  return [...lines, ...steps.map((step, at) => `${String(at + 1).padStart(4)}.  ${tellStep(step)}`)].join('\n');
}

export function tellPlayed({ breach, ends }: Played, { log }: { readonly log: boolean }): string {
  const shown = log ? ends : ends.slice(-3);
  const parts = shown.map(({ what, end, requests }) => {
    const lines = log ? end.log : end.log.slice(-LAST_LINES);
    const asked = log ? requests : requests.slice(-LAST_REQUESTS);
    return `→ ${what}\n  code ${end.code}: ${end.message.trim()}\n  ${asked.join('\n  ')}\n  ${lines.join('\n  ')}`;
  });
  const verdict = breach === null ? 'The law holds.' : `BREACH: ${breach.kind}: ${breach.text}`;
  return [...parts, verdict].join('\n');
}

function tellStep(step: Step): string {
  switch (step.do) {
    case 'start':
      return tellStart(step);
    case 'grow':
      return `the API gets ${step.top} new events and ${step.late} late ones (by up to ${step.lateMs} ms)`;
    case 'lose':
      return `the API forgets ${step.count} events (${step.which})`;
    case 'table':
      return `table: ${step.deed}${step.deed === 'delete-rows' ? ` (every ${step.every})` : ''}`;
    case 'verify':
      return `verify${step.api === 'other' ? ' against the other API' : ''}`;
    case 'export':
      return 'export-ids';
  }
}

function tellStart({ api, flags, faults, growth, end }: StartStep): string {
  const parts = [
    `start ${JSON.stringify(flags)}`,
    ...(api === 'other' ? ['from the other API'] : []),
    ...faults.map(({ kind, on, nth, times }) => `${kind} from request ${nth} (${on}) on, ${times ?? 'all'} times`),
    ...growth.map(({ atPage, top, late }) => `at page ${atPage} ${top} new and ${late} late events come`),
    ...(end.how === 'runs' ? [] : [`${end.how} at page ${end.atPage} after ${end.delayMs} ms`]),
  ];
  return parts.join('; ');
}
