/** How pages of a described source are asked for. */
import { turnRange } from '../core/walk-time.ts';
import { variablesOf, type FilledDescription } from '../source/fill-in.ts';
import { walkBounds } from '../source/order.ts';
import { requestShape } from '../source/request-shape.ts';
import type { PageWire } from './page-wire.ts';

export function describedWire(source: FilledDescription, userAgent: string): PageWire {
  const { name, limits, order } = source.description;
  const variables = variablesOf(source.description).join(', ');
  return {
    url: source.url,
    advice: {
      key: variables === '' ? `The description of ${name} names no key (auth).` : `Check the key: ${variables}.`,
      address: `Check url in the description of ${name}.`,
    },
    hasStream: false,
    bounds: walkBounds(source.description),
    maxRps: limits?.perSecond ?? null,
    later: limits?.refusedBy ?? [],
    guessCursor: () => null,
    request: ({ limit, cursor: position, ...bounds }, _token, acceptCompression) => {
      const realBounds = turnRange(bounds, order === 'oldest-first');
      const { method, url, headers, body } = requestShape(source, { limit, position, ...realBounds });
      const encoding = { 'accept-encoding': acceptCompression ? 'gzip, deflate, br' : 'identity' };
      return { method, url, headers: { 'user-agent': userAgent, ...encoding, ...headers }, body };
    },
  };
}
