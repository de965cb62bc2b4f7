/** The part of a page around its events, in every shape that users have seen. */
import type { SimulatorSettings } from '../settings.ts';

export interface PageFacts {
  readonly limit: number;
  readonly returned: number;
  readonly hasMore: boolean;
  readonly nextCursor: string | null;
  readonly cursorExpiresIn: number;
  readonly total: number;
  readonly requestId: string;
}

const EVENTS = Symbol('events');
type Member = readonly [key: string, value: string | typeof EVENTS];

/** @returns the bytes before and after the events, which go between `[` and `]` */
export function renderEnvelope(settings: SimulatorSettings, facts: PageFacts): { head: string; tail: string } {
  const [colon, comma] = settings.spaces ? [' : ', ' ,\n  '] : [':', ','];
  const open = settings.spaces ? '{\n  ' : '{';
  const close = settings.spaces ? '\n}\n' : '}';
  const key = (camel: string): string =>
    JSON.stringify(
      settings.keyCase === 'camel' ? camel : camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    );
  const ordered = (members: readonly Member[]): readonly Member[] =>
    settings.keyOrder === 'normal' ? members : [...members].reverse();
  const object = (members: readonly Member[]): string =>
    `{${ordered(members)
      .map(([name, value]) => `${key(name)}${colon}${String(value)}`)
      .join(',')}}`;

  const more: Member = [
    'hasMore',
    { boolean: String(facts.hasMore), text: `"${facts.hasMore}"`, number: facts.hasMore ? '1' : '0' }[
      settings.hasMoreAs
    ],
  ];
  const cursor = cursorMember(settings, facts.nextCursor);
  const around: Member[] =
    settings.shape === 'docs'
      ? [more, ...cursor]
      : [
          [
            'pagination',
            object([
              ['limit', String(facts.limit)],
              more,
              ...cursor,
              ...(facts.nextCursor === null ? [] : [['cursorExpiresIn', String(facts.cursorExpiresIn)] as const]),
            ]),
          ],
          [
            'meta',
            object([
              ...(settings.total ? [['total', String(facts.total)] as const] : []),
              ['returned', String(facts.returned)],
              ['requestId', JSON.stringify(facts.requestId)],
            ]),
          ],
        ];
  const events: Member = [settings.dataField, EVENTS];
  const members = settings.envelope === 'after' ? [events, ...ordered(around)] : [...ordered(around), events];
  const at = members.indexOf(events);
  const render = ([name, value]: Member): string => `${key(name)}${colon}${String(value)}`;
  const before = members.slice(0, at).map((member) => render(member) + comma);
  const after = members.slice(at + 1).map((member) => comma + render(member));
  return { head: `${open}${before.join('')}${key(settings.dataField)}${colon}[`, tail: `]${after.join('')}${close}` };
}

function cursorMember(settings: SimulatorSettings, cursor: string | null): Member[] {
  if (cursor !== null) return [['nextCursor', JSON.stringify(cursor)]];
  switch (settings.lastCursor) {
    case 'null':
      return [['nextCursor', 'null']];
    case 'absent':
      return [];
    case 'empty':
      return [['nextCursor', '""']];
  }
}
