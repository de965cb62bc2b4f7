/** One list of events, a page long, that a seed damages; walked through the encoder and held against the oracle. */
import { SHAPES, type Shape } from './body.ts';
import { drawDamage, drawEvent } from './damaged-events.ts';
import { Dice } from './dice.ts';
import { breachesOf } from './oracle.ts';
import { walkPages } from './pages-walk.ts';

const PAGE_SIZE = 50;

export interface TriedPage {
  readonly shape: Shape;
  /** What is wrong, a sentence each. */
  readonly breaches: readonly string[];
  readonly damaged: number;
  readonly requests: number;
}

export async function triedPage(seed: number): Promise<TriedPage> {
  const dice = new Dice(seed);
  const shape = dice.pick(SHAPES);
  const clean = Array.from({ length: PAGE_SIZE }, (_, n) => drawEvent(dice, n));
  const events = drawDamage(dice, clean, dice.pick([0.02, 0.02, 0.05, 0.2]));
  const { rows, anomalies, requests, stuck } = await walkPages(events, PAGE_SIZE, shape);
  const breaches = stuck === null ? breachesOf(events, rows, anomalies) : [stuck];
  const damaged = events.filter(({ isDamaged }) => isDamaged).length;
  if (requests > mostRequests(1, damaged)) breaches.push(`${requests} requests for ${damaged} damaged events`);
  return { shape, breaches, damaged, requests };
}

/** One a page, one more for a page that is broken, and the search for each event that does not stand apart. */
function mostRequests(pages: number, damaged: number): number {
  return Math.ceil(2 * pages + damaged * (2 * Math.log2(PAGE_SIZE) + 2));
}
