/** The address of a next page as it is kept: without keys, whose variables stand in their place. */
import { inAddress } from '../core/redaction.ts';
import type { FilledDescription } from './fill-in.ts';

/** What is shorter may stand anywhere in an address, and is no key. */
const KEY_LENGTH = 8;

/** @param link is changed */
export function keepLink({ auth, hidden, variables }: FilledDescription, link: URL): string {
  link.username = '';
  link.password = '';
  link.hash = '';
  if (auth?.kind === 'query') link.searchParams.delete(auth.param);
  for (const { name, written, sent } of hidden) {
    if (link.searchParams.get(name) === sent) link.searchParams.set(name, written);
  }
  // Some APIs write into their links what they were sent in a header.
  const keys = variables.filter(({ value }) => value.length >= KEY_LENGTH);
  const kept = keys.reduce(
    (text, { name, value }) =>
      [value, ...inAddress(value)].reduce((rest, one) => rest.replaceAll(one, () => `\${${name}}`), text),
    link.href.slice(link.origin.length),
  );
  return link.origin + kept;
}

export function sentLink({ hidden, variables }: FilledDescription, kept: string): URL {
  const fill = (text: string, { name, value }: FilledDescription['variables'][number]): string =>
    text.replaceAll(`\${${name}}`, () => encodeURIComponent(value));
  const link = new URL(variables.reduce(fill, kept));
  for (const { name, written, sent } of hidden) {
    if (link.searchParams.get(name) === written) link.searchParams.set(name, sent);
  }
  return link;
}
