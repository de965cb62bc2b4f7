import type { Contender } from '../contender.ts';
import { runComparison } from '../comparison.ts';

export const contender: Contender = {
  name: 'two-stage',
  what: 'the design this grew from: one chain, text rows into a local file, then COPY and INSERT … ON CONFLICT',
  place: 2,
  everyRound: false,
  run: (input) => runComparison('bench/programs/two-stage.ts', [input.source.baseUrl, input.databaseUrl, input.folder]),
};
