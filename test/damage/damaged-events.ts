/** Events as a source has them, some of them damaged: the bytes of each are known, and whether it is as it was. */
import { eventNumber } from '../support/scripted-events.ts';
import type { Dice } from './dice.ts';

export interface SourceEvent {
  readonly bytes: Buffer;
  readonly isDamaged: boolean;
}

/** Text that looks like the border between two events. */
const LIKE_A_BORDER = ['},{"id":"', '"},{"id":"x","name":"', '},{}', ']},{"id":"', '}],"hasMore":false,"x":"'];
const STRUCTURE = Buffer.from('{}[],:"\\ntu0 -.eE\n\t');
const PIECES = [
  'NaN',
  'Infinity',
  ',',
  ',,',
  '\t',
  '\n',
  '\0',
  '}',
  ']}',
  '},',
  '{',
  '"',
  '\\',
  '},{',
  'null',
  '\u{1f600}',
];
const NO_UTF8 = [[0xff], [0xc3], [0xff, 0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]];

/** Event `n`, with what makes borders hard to find: lists of objects, texts that look like borders, white space. */
export function drawEvent(dice: Dice, n: number): Buffer {
  const changes: Record<string, unknown> = { properties: drawProperties(dice, n) };
  if (dice.chance(0.2)) changes['name'] = `event_${n}${dice.pick(LIKE_A_BORDER)}${dice.pick(LIKE_A_BORDER)}`;
  if (dice.chance(0.1)) changes['items'] = [{ id: `item-${n}` }, { id: `item-${n}-b` }, { n }];
  if (dice.chance(0.1)) changes['session'] = undefined;
  return Buffer.from(JSON.stringify(eventNumber(n, changes), null, dice.chance(0.05) ? 2 : 0));
}

function drawProperties(dice: Dice, n: number): unknown {
  if (dice.chance(0.2)) return { list: [{ id: `a${n}` }, { id: `b${n}`, deep: [{}, {}] }, { id: `c${n}` }], n };
  if (dice.chance(0.1)) return { n, text: `${dice.pick(LIKE_A_BORDER)}"${dice.pick(LIKE_A_BORDER)}` };
  return { n, page: '/home' };
}

/** The same events, each damaged with this chance. */
export function drawDamage(dice: Dice, events: readonly Buffer[], share: number): SourceEvent[] {
  return events.map((bytes) => {
    if (!dice.chance(share)) return { bytes, isDamaged: false };
    const damaged = damage(dice, bytes);
    return { bytes: damaged, isDamaged: !damaged.equals(bytes) };
  });
}

function damage(dice: Dice, bytes: Buffer): Buffer {
  const kind = dice.share();
  if (kind < 0.1) return replaceAt(bytes, placeOf(dice, bytes, '"'), 1, '');
  if (kind < 0.2) return replaceAt(bytes, dice.below(bytes.length + 1), 0, '"');
  if (kind < 0.3) return replaceAt(bytes, placeOf(dice, bytes, '"'), 0, '\\');
  if (kind < 0.4) return replaceAt(bytes, placeOf(dice, bytes, '\\'), 1, '');
  if (kind < 0.5) return replaceAt(bytes, dice.below(bytes.length), 0, dice.pick(PIECES));
  if (kind < 0.6) return replaceAt(bytes, dice.below(bytes.length), dice.below(2), Buffer.from(dice.pick(NO_UTF8)));
  if (kind < 0.65) return replaceAt(bytes, dice.below(bytes.length), 1 + dice.below(40), '');
  return replaceAt(bytes, dice.below(bytes.length), dice.below(4), drawBytes(dice));
}

function drawBytes(dice: Dice): Buffer {
  const isStructure = dice.chance(0.5);
  const byte = (): number => (isStructure ? dice.pick([...STRUCTURE]) : dice.below(256));
  return Buffer.from(Array.from({ length: dice.below(4) }, byte));
}

/** Offset of one of the bytes that are this character; of any byte where there is none. */
function placeOf(dice: Dice, bytes: Buffer, character: string): number {
  const places = [...bytes.keys()].filter((at) => bytes[at] === character.charCodeAt(0));
  return places.length === 0 ? dice.below(bytes.length) : dice.pick(places);
}

function replaceAt(bytes: Buffer, at: number, length: number, by: string | Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(by as string), bytes.subarray(at + length)]);
}
