/** A description for tests: the least that one can say, and what a test says besides. */
import type { AnswerHeaders } from '../../../src/core/encoded-page.ts';
import { descriptionSchema } from '../../../src/source/description.ts';
import { fillIn, type FilledDescription } from '../../../src/source/fill-in.ts';
import type { AnsweredPage } from '../../../src/source/next-position.ts';

const LEAST = {
  name: 'things',
  url: 'https://api.example.com/v1/things',
  records: ['data'],
  size: { param: 'limit', max: 100 },
  next: { token: { path: ['next'], param: 'cursor' } },
};

export function described(said: object, environment: Readonly<Record<string, string>> = {}): FilledDescription {
  return fillIn(descriptionSchema.parse({ ...LEAST, ...said }), environment);
}

export function headers(values: Readonly<Record<string, string>> = {}): AnswerHeaders {
  const get = (name: string): string | null => values[name] ?? null;
  return { get, all: get };
}

/** A full page of 100 records, asked for without a position. */
export function answered(said: Partial<AnsweredPage> = {}): AnsweredPage {
  return {
    envelope: {},
    headers: headers(),
    records: 100,
    firstRecord: undefined,
    lastRecord: null,
    url: new URL('https://api.example.com/v1/things?limit=100'),
    position: null,
    limit: 100,
    mostBefore: 0,
    isMoreKnown: true,
    ...said,
  };
}
