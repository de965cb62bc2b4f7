import { test } from 'node:test';
import { MOMENTS } from './held-moment.ts';
import { killAtMoment } from './killed-moment.ts';

for (const moment of MOMENTS) {
  for (const orphan of ['lives', 'ends'] as const) {
    void test(`an ingester killed while ${moment}, whose session ${orphan}, is gone on from exactly`, async (t) => {
      await killAtMoment(t, moment, orphan);
    });
  }
}
