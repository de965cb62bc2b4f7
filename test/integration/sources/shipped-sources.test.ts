/** Each shipped source from the stub of its vendor into its table: a few hundred records, with faults, value by value. */
import { test } from 'node:test';
import { DescribedScene } from '../../support/described-scene.ts';
import { SHIPPED } from '../../support/vendors/shipped.ts';
import type { Fault } from '../../support/vendors/vendor.ts';

const FAULTS: Readonly<Record<number, Fault>> = { 2: 'reset', 4: 'html-502', 5: 'truncated', 7: 'refused' };

for (const { name } of SHIPPED) {
  void test(`${name} is loaded as its vendor serves it`, async (t) => {
    const scene = await DescribedScene.open(t, name, { count: 450, fault: (request) => FAULTS[request] });
    await scene.ingestAll();
  });
}
