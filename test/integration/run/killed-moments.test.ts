import { test } from 'node:test';
import { killAtMoment } from '../../crash/killed-moment.ts';
import type { Moment } from '../../crash/held-moment.ts';

/** `npm run test:crash` has all moments. Here are the one at which rows were once lost, and two that differ from it. */
for (const { moment, orphan } of [
  { moment: 'making the first window', orphan: 'lives' },
  { moment: 'building the key', orphan: 'lives' },
  { moment: 'walking again', orphan: 'ends' },
] satisfies { moment: Moment; orphan: 'lives' | 'ends' }[]) {
  void test(`a start after an ingester was killed while ${moment} completes the table: its session ${orphan}`, async (t) => {
    await killAtMoment(t, moment, orphan);
  });
}
