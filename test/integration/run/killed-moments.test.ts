import { test } from 'node:test';
import { killAtMoment } from '../../crash/killed-moment.ts';
import type { Moment } from '../../crash/held-moment.ts';

/** All of them are in `npm run test:crash`; here the one at which rows were lost, and two that differ from it. */
for (const { moment, orphan } of [
  { moment: 'making the first window', orphan: 'lives' },
  { moment: 'building the key', orphan: 'lives' },
  { moment: 'walking again', orphan: 'ends' },
] satisfies { moment: Moment; orphan: 'lives' | 'ends' }[]) {
  void test(`an ingester killed while ${moment}, whose session ${orphan}, is gone on from exactly`, async (t) => {
    await killAtMoment(t, moment, orphan);
  });
}
