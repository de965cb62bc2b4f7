/** Each shipped description run backwards: what the simulator makes of it is loaded exactly, with its faults. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { simulate } from '../../../src/commands/simulate.ts';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { simulateDescribed } from '../../../src/simulator/described/described-simulator.ts';
import { simulatedDescription } from '../../../src/simulator/described/simulated-description.ts';
import { fillIn } from '../../../src/source/fill-in.ts';
import { readDescription } from '../../../src/source/read-description.ts';
import { DescribedScene } from '../../support/described-scene.ts';
import { SHIPPED } from '../../support/vendors/shipped.ts';

const FAULT_PLAN = [
  { on: 'page', nth: 2, fault: '502-html' },
  { on: 'page', nth: 3, fault: 'cut-body' },
  { on: 'page', nth: 4, fault: 'stale-cursor' },
  { on: 'page', nth: 5, fault: 'cut-chunked' },
  { on: 'page', nth: 7, fault: 'no-cursor' },
] as const;

for (const { name, environment } of SHIPPED) {
  test(`${name}, run backwards, is loaded as it is served`, async (t) => {
    const text = readFileSync(new URL(`../../../sources/${name}.yaml`, import.meta.url), 'utf8');
    const { description } = readDescription(text);
    assert.ok(description !== null);
    const filled = fillIn(description, environment);
    const simulator = await simulateDescribed(filled, { events: 350, eventsLimit: 0, faultPlan: [...FAULT_PLAN] });
    t.after(() => simulator.close());
    const simulated = simulatedDescription(text, filled.url, simulator.origin).replace(
      /^limits: \{ perSecond: .*\n/m,
      '',
    );
    const scene = await DescribedScene.of(t, simulator, simulated, environment);
    await scene.ingestAll();
  });
}

test('flags that only DataSync has, and sources without a description, are refused', async () => {
  const refused = (...argv: string[]) =>
    assert.rejects(simulate(argv, { STRIPE_KEY: 'k' }), (error) => error instanceof ConfigurationError);
  await refused('--source', 'sources/stripe-events.yaml', '--shape', 'docs');
  await refused('--source', 'sources/datasync.yaml');
  await refused('--source', 'sources/github-issues.yaml');
});
