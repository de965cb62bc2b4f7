/** A case and what came of it, as a person reads it. */
import { stringify } from 'yaml';
import type { Case, Start } from './drawn-case.ts';
import type { Played } from './play.ts';

const LAST_LINES = 12;
const LAST_REQUESTS = 40;

export function tellCase({ words, api, data, starts, salt }: Case): string {
  return [
    stringify(words, {
      aliasDuplicateObjects: false,
      flowCollectionPadding: true,
      collectionStyle: 'flow',
      lineWidth: 1_000,
    }),
    `API:   ${JSON.stringify(api)}`,
    `data:  ${JSON.stringify(data)} salt ${salt}`,
    ...starts.map((start, at) => `${String(at + 1).padStart(4)}.  ${tellStart(start)}`),
  ].join('\n');
}

export function tellPlayed({ breach, ends }: Played, { log }: { readonly log: boolean }): string {
  const shown = log ? ends : ends.slice(-3);
  const parts = shown.map(({ what, end, requests }) => {
    const lines = log ? end.log : end.log.slice(-LAST_LINES);
    const asked = log ? requests : requests.slice(-LAST_REQUESTS);
    return `→ ${what}\n  code ${end.code}: ${end.reason.trim()}\n  ${asked.join('\n  ')}\n  ${lines.map((line) => line.trim()).join('\n  ')}`;
  });
  const verdict = breach === null ? 'The law holds.' : `BREACH: ${breach.kind}: ${breach.text}`;
  return [...parts, verdict].join('\n');
}

function tellStart({ flags, faults, changes, end }: Start): string {
  const parts = [
    `start ${JSON.stringify(flags)}`,
    ...faults.map(({ kind, nth, times }) => `${kind} from request ${nth} on, ${times ?? 'all'} times`),
    ...changes.map(
      ({ atRequest, add, remove, touch }) => `at request ${atRequest} ${add} come, ${remove} go, ${touch} change`,
    ),
    ...(end.how === 'runs' ? [] : [`${end.how} at request ${end.atRequest} after ${end.delayMs} ms`]),
  ];
  return parts.join('; ');
}
