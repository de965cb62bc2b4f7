/** How pages of a described source are asked for. */
import { variablesOf, type FilledDescription } from '../source/fill-in.ts';
import { isDivisible } from '../source/order.ts';
import { requestShape } from '../source/request-shape.ts';
import type { PageWire } from './page-wire.ts';

export function describedWire(source: FilledDescription, userAgent: string): PageWire {
  const { name, limits } = source.description;
  const variables = variablesOf(source.description).join(', ');
  return {
    url: source.url,
    advice: {
      key: variables === '' ? `The description of ${name} names no key (auth).` : `Check the key: ${variables}.`,
      address: `Check url in the description of ${name}.`,
    },
    hasStream: false,
    takesBounds: isDivisible(source.description),
    maxRps: limits?.perSecond ?? null,
    later: limits?.refusedBy ?? [],
    guessCursor: () => null,
    request: ({ cursor, ...page }, _token, acceptCompression) => {
      const { method, url, headers, body } = requestShape(source, { ...page, position: cursor });
      const encoding = { 'accept-encoding': acceptCompression ? 'gzip, deflate, br' : 'identity' };
      return { method, url, headers: { 'user-agent': userAgent, ...encoding, ...headers }, body };
    },
  };
}
