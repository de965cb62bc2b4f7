import type { Contender } from '../contender.ts';
import { runComparison } from '../comparison.ts';

export const contender: Contender = {
  name: 'plain script',
  what: 'what most people write: one chain, JSON.parse, INSERT … ON CONFLICT of 1,000 rows',
  place: 3,
  everyRound: false,
  run: (input) => runComparison('bench/programs/plain-script.ts', [input.source.baseUrl, input.databaseUrl]),
};
