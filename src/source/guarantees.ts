/** The card of a source: what its API lets the program promise, and what not, from the description alone. */
import type { Description } from './description.ts';
import type { KeyPath } from './kinds.ts';
import { canBeIncremental, canBeginByTime, isDivisible, walkBounds } from './order.ts';

export interface Guarantee {
  /** In a few words. */
  readonly answer: string;
  /** For people: what follows from it, and why. */
  readonly sentence: string;
  /** False where something is not promised that another API would allow. */
  readonly isPromised: boolean;
}

export interface Guarantees {
  readonly exactlyOnce: Guarantee;
  readonly afterCrash: Guarantee;
  readonly parallel: Guarantee;
  readonly staleCursor: Guarantee;
  readonly laterRuns: Guarantee;
  readonly proof: Guarantee;
}

/** The rows of the card. */
export const GUARANTEE_ROWS = [
  ['exactlyOnce', 'rows exactly once'],
  ['afterCrash', 'goes on after a crash'],
  ['parallel', 'parallel'],
  ['staleCursor', 'stale cursor'],
  ['laterRuns', 'later runs'],
  ['proof', 'proof'],
] as const satisfies readonly (readonly [keyof Guarantees, string])[];

export function guaranteesOf(description: Description): Guarantees {
  return {
    exactlyOnce: exactlyOnce(description),
    afterCrash: afterCrash(description),
    parallel: parallel(description),
    staleCursor: staleCursor(description),
    laterRuns: laterRuns(description),
    proof: proof(description),
  };
}

function yes(answer: string, sentence: string): Guarantee {
  return { answer, sentence, isPromised: true };
}

function no(answer: string, sentence: string): Guarantee {
  return { answer, sentence, isPromised: false };
}

/** Records that change, or whose order is not known, move from page to page while pages are counted. */
function canSkip({ next, order, version }: Description): boolean {
  return next.kind === 'count' && (order === 'none' || version !== undefined);
}

function exactlyOnce(description: Description): Guarantee {
  const { id, next } = description;
  const skips = canSkip(description)
    ? 'Pages are counted: while they are read, a record that moves or vanishes makes others skip a page, and those are missed.'
    : null;
  if (id === undefined) {
    const equal =
      'Records have no id, so each is known by a hash of its bytes: equal records are one row, and a record that changes is another.';
    return no(
      skips === null ? 'no: equal records are one' : 'no: can skip, and equal records are one',
      join(equal, skips),
    );
  }
  if (skips !== null) return no('no: can skip', skips);
  const key = `Each ${shown(id)} is one row, however often it is served.`;
  if (next.kind === 'count') {
    return yes(
      'yes, while records are only added',
      `${key} Pages are counted: records that are deleted meanwhile${next.step === 1 ? ', or come to the last page while it is read,' : ''} can make others skip a page.`,
    );
  }
  if (next.kind === 'lastRecord' && next.within !== null) {
    const sentence = `Records of one ${shown(next.path)} are read by counted pages: one that changes, or comes to it, in that moment can make another skip.`;
    return yes('yes, while records of one time stay', join(key, sentence));
  }
  return yes('yes', key);
}

function afterCrash(description: Description): Guarantee {
  const { next } = description;
  if (canBeginByTime(description) && next.kind !== 'lastRecord') {
    return yes(
      'yes, by cursor or time',
      'A start goes on behind the last row that is safe: by its cursor, or by time where that is dead.',
    );
  }
  switch (next.kind) {
    case 'lastRecord':
      return yes('yes, always', `A start goes on behind the last row that is safe, by its ${shown(next.path)}.`);
    case 'count':
      return yes('yes', 'A start goes on with the page after the last one that is safe.');
    case 'token':
    case 'link': {
      const life = next.kind === 'token' && next.lifeMs !== null ? ` (${durationText(next.lifeMs)})` : '';
      const sentence = `A start goes on behind the last row that is safe while its cursor lives${life}; after that it begins at the top again, and rows that are there stay as they are.`;
      return no('while the cursor lives, else from the top', sentence);
    }
  }
}

function parallel(description: Description): Guarantee {
  if (isDivisible(description)) {
    return yes(
      'yes',
      'The time is divided into windows, which are walked at the same time, while pages show that their order is that of time. Records without a time may lie in none of them.',
    );
  }
  const why = 'a list is divided only where it is in order of time, and the API takes both bounds';
  return no('no', `Pages are asked for one after the other: ${why}.`);
}

function staleCursor(description: Description): Guarantee {
  const { next, time } = description;
  if (next.kind === 'count') return yes('cannot happen', 'A number of a page does not run out.');
  if (next.kind === 'lastRecord' && next.inclusive) {
    const gone = 'A page must begin with the record that it was asked for from. Where that has vanished, a walk';
    return canBeginByTime(description)
      ? yes('by time', `${gone} goes on from its time.`)
      : no('from the top, paid twice', `${gone} begins at the top of the list again, and its rows stay one each.`);
  }
  if (next.kind === 'lastRecord') {
    const reach = time?.reach === undefined ? '' : `, while the API has the record (${durationText(time.reach)})`;
    return yes('cannot happen', `A value of a record does not run out${reach}.`);
  }
  if (canBeginByTime(description))
    return yes('by time', 'A walk whose cursor is dead goes on from the time of its last record.');
  return no(
    'from the top, paid twice',
    'A walk whose cursor is dead begins at the top of the list again: its pages are asked for twice, and its rows stay one each.',
  );
}

function laterRuns(description: Description): Guarantee {
  const { order, time, version } = description;
  if (time === undefined || !canBeIncremental(description)) {
    return no(
      'everything again',
      'Each run reads the whole list: nothing tells where what is new begins. Rows stay one each.',
    );
  }
  const takesBound = order === 'oldest-first' || walkBounds(description).since;
  const further = takesBound ? '' : ', and some pages further, because the API takes no bound there';
  const begins = `A run behind a complete one takes what is new since then, and looks back (--lookback) for late records${further}.`;
  const isOfChange = version === undefined || isSame(version, time.path);
  const changed = isOfChange ? null : `It sees no new ${shown(version)} of records before that; --full does.`;
  return yes('what is new', join(begins, changed));
}

function proof(description: Description): Guarantee {
  const { total, id, time } = description;
  const capped =
    time?.cap !== undefined && !canBeginByTime(description)
      ? `A list of ${time.cap} records ends with code 5: the API ends there in silence.`
      : null;
  if (canSkip(description)) {
    return no(
      'not proven: walk it again',
      join(
        'The end of the list does not prove that nothing was skipped: only another walk that brings nothing new does.',
        capped,
      ),
    );
  }
  if (id === undefined) {
    return no(
      'weak',
      join(`${endText(description)} Equal records cannot be counted apart, so no count proves more.`, capped),
    );
  }
  if (total !== undefined) {
    return yes('total', join('The run is complete when as many records were served as the API counts.', capped));
  }
  const text = join(`${endText(description)} The API gives no count to hold against it.`, capped);
  return capped === null ? yes("the API's own end", text) : no("the API's own end", text);
}

function endText({ more, next }: Description): string {
  switch (more.kind) {
    case 'path':
      return `The list is complete when ${shown(more.path)} says that nothing follows.`;
    case 'link':
      return 'The list is complete when no link to a next page comes.';
    case 'short-page':
      return 'The list is complete when a page has fewer records than it was asked for.';
    case 'next-absent':
      return next.kind === 'count' || next.kind === 'lastRecord'
        ? 'The list is complete when a page has no records.'
        : 'The list is complete when nothing asks for a next page.';
  }
}

function join(...sentences: readonly (string | null)[]): string {
  return sentences.filter((sentence) => sentence !== null).join(' ');
}

function isSame(one: KeyPath, other: KeyPath): boolean {
  return shown(one) === shown(other);
}

function shown(path: KeyPath): string {
  return path.join('.');
}

/** Whole units, the largest that divides it. */
function durationText(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ] as const;
  const unit = units.find(([length]) => ms % length === 0);
  return unit === undefined ? `${ms}ms` : `${ms / unit[0]}${unit[1]}`;
}
