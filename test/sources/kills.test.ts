/** Jobs of each shipped source, started as people start them and killed 25 times at moments that are drawn: exact in the end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import { assertRows } from '../support/described-rows.ts';
import { startMain } from '../support/processes.ts';
import { descriptionText, SHIPPED } from '../support/vendors/shipped.ts';
import { Draws } from '../support/vendors/vendor.ts';

const RECORDS = 20_000;
const KILLS = 25;
/** So that a job gets somewhere before it is killed, and not to the end: requests it makes at most. */
const PAGES_A_LIFE = 12;
const SEED = Number(process.env['SOURCES_SEED'] ?? 1);

for (const { name, open, environment } of SHIPPED) {
  void test(`${name}: killed ${KILLS} times (SOURCES_SEED=${SEED})`, async (t) => {
    const draws = new Draws(SEED);
    let killAt = Infinity;
    let kill = (): void => undefined;
    const count = name === 'notion-pages' ? RECORDS / 2 - 1 : RECORDS;
    const stub = await open(t, {
      count,
      fault: (request) => {
        if (request >= killAt) setTimeout(kill, draws.below(30));
        return undefined;
      },
    });
    const database = await testDatabase(t);
    const folder = mkdtempSync(join(tmpdir(), 'sources-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, `${name}.yaml`);
    const description = descriptionText(name, stub).replace(/^limits: \{ perSecond: .*\n/m, '');
    writeFileSync(file, description);
    const start = (): ReturnType<typeof startMain> =>
      startMain(t, ['--source', file, '--page-size', '100'], {
        env: { ...environment, DATABASE_URL: database.url, LOG_FORMAT: 'json', WORKER_THREADS: '1' },
      });
    let kills = 0;
    for (let life = 0; life < KILLS; life += 1) {
      killAt = stub.requests + 1 + draws.below(PAGES_A_LIFE);
      const program = start();
      kill = () => {
        program.kill('SIGKILL');
      };
      const { signal } = await program.waitForExit();
      if (signal === 'SIGKILL') kills += 1;
    }
    killAt = Infinity;
    const last = start();
    const { code } = await last.waitForExit();
    assert.equal(code, 0, last.stdout.slice(-3_000));
    await assertRows(database, description, stub.records);
    t.diagnostic(`${kills} kills, ${stub.requests} requests`);
    assert.ok(kills >= KILLS - 5, `only ${kills} kills: the others came after the end`);
  });
}
