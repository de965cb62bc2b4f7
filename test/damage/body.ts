/** A page as a server puts it together: the bytes of its events between the words of its envelope. */
import type { SourceEvent } from './damaged-events.ts';

export const SHAPES = ['live', 'doc', 'envelope-first', 'wrapped', 'spaced'] as const;
export type Shape = (typeof SHAPES)[number];

export interface PagePart {
  /** Place of its first event, and after its last. */
  readonly first: number;
  readonly end: number;
  readonly limit: number;
  readonly nextCursor: string | null;
}

export function bodyOf(events: readonly SourceEvent[], part: PagePart, shape: Shape): Buffer {
  const { first, end, limit, nextCursor } = part;
  const texts = events.slice(first, end).map(({ bytes }) => bytes);
  const hasMore = nextCursor !== null;
  const pagination = `"pagination":${JSON.stringify({ limit, hasMore, nextCursor, cursorExpiresIn: 116 })}`;
  const meta = `"meta":${JSON.stringify({ total: events.length, returned: texts.length, tags: [] })}`;
  const flags = `"hasMore":${String(hasMore)},"nextCursor":${JSON.stringify(nextCursor)}`;
  switch (shape) {
    case 'live':
      return joined('{"data":[', texts, ',', `],${pagination},${meta}}`);
    case 'doc':
      return joined('{"data":[', texts, ',', `],${flags}}`);
    case 'envelope-first':
      return joined(`{${pagination},${meta},"data":[`, texts, ',', ']}');
    case 'wrapped':
      return joined(`{"success":true,"data":{"data":[`, texts, ',', `],${flags}}}`);
    case 'spaced':
      return joined(`{\n  "data" : [\n    `, texts, ' ,\n    ', `\n  ] ,\n  ${pagination}\n}\n`);
  }
}

function joined(head: string, texts: readonly Buffer[], comma: string, tail: string): Buffer {
  const parts = texts.flatMap((text, at) => (at === 0 ? [text] : [Buffer.from(comma), text]));
  return Buffer.concat([Buffer.from(head), ...parts, Buffer.from(tail)]);
}
