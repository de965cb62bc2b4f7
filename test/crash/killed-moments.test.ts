import { test } from 'node:test';
import { MOMENTS } from './held-moment.ts';
import { killAtMoment } from './killed-moment.ts';

for (const moment of MOMENTS) {
  for (const orphan of ['lives', 'ends'] as const) {
    void test(`a start after an ingester was killed while ${moment} completes the table: its session ${orphan}`, async (t) => {
      await killAtMoment(t, moment, orphan);
    });
  }
}
