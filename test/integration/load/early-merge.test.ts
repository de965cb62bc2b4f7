/** A merge into an empty target that begins before its late pages are there: two staging tables, one transaction. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LatePages } from '../../../src/load/merge/merge.ts';
import { STAGING_TABLES } from '../../../src/load/schema/staging.ts';
import { openClient } from '../../support/database.ts';
import { eventsOf, eventually, ids, pageOf, startLoading, targetRows } from './setup.ts';
import type { Loading } from './setup.ts';

const EDGE_MS = 1_700_000_000_000;
const TWO_WINDOWS = [
  { sinceMs: EDGE_MS, untilMs: null },
  { sinceMs: null, untilMs: EDGE_MS },
] as const;

/** All of staging table b, which is loaded when it is asked for. */
function latePagesOf(pages: number, load: () => Promise<unknown> = () => Promise.resolve()): LatePages {
  return async () => {
    await load();
    return { table: 'b', pages };
  };
}

async function targetIds({ database }: Loading): Promise<string[]> {
  return (await targetRows(database)).map(({ id }) => id);
}

async function assertStagingIsEmpty({ database }: Loading): Promise<void> {
  for (const table of STAGING_TABLES) {
    const { rowCount } = await database.query(
      `SELECT FROM ingestion.staging_${table}_1 UNION ALL SELECT FROM ingestion.staging_ledger_${table}_1
       UNION ALL SELECT FROM ingestion.staging_anomaly_${table}_1`,
    );
    assert.equal(rowCount, 0, `staging table ${table}`);
  }
}

test('late pages are merged with the first ones: one result, exact counts, every window as far as it was walked', async (t) => {
  const loading = await startLoading(t, { windows: TWO_WINDOWS });
  const { loader, merger, store, runId, database } = loading;
  const newer = ids('n', 300).map((id, i) => ({ id, timestamp: EDGE_MS + 1000 - i }));
  const older = ids('o', 300).map((id, i) => ({ id, timestamp: EDGE_MS - 1000 - i }));
  const repaired = { id: 'repaired', timestamp: EDGE_MS + 500, name: 'a\0b' };
  await loader.load(pageOf([...newer, repaired, 'null'], { window: 1, page: 1 }));
  await loader.load(pageOf(older, { window: 2, page: 1 }));
  const later = async (): Promise<void> => {
    const again = newer.slice(0, 2);
    const last = { window: 1, page: 2, table: 'b', ledger: { endsWindow: true } } as const;
    await loader.load(pageOf([...again, ...eventsOf(['last']), 'null'], last));
    await loader.load(pageOf(eventsOf(['oldest']), { window: 2, page: 2, table: 'b' }));
  };
  const result = await merger().merge('a', 2, latePagesOf(2, later));
  assert.deepEqual(
    { ...result, seconds: 0 },
    {
      tables: ['a', 'b'],
      pages: 4,
      served: 607,
      loaded: 605,
      inserted: 603,
      updated: 0,
      duplicates: 2,
      rejected: 2,
      repaired: 1,
      seconds: 0,
      isInitialMerge: true,
    },
  );
  assert.equal((await targetRows(database)).length, 603);
  assert.deepEqual(
    (await store.windows(runId)).map(({ safePages, complete }) => [safePages, complete]),
    [
      [2, true],
      [2, false],
    ],
  );
  const { counts } = (await store.currentRun()) ?? assert.fail('no run');
  assert.deepEqual(
    [counts.pages, counts.loaded, counts.inserted, counts.duplicates, counts.rejected],
    [4, 605, 603, 2, 2],
  );
  const anomalies = await database.query('SELECT kind FROM ingestion.anomaly ORDER BY 1');
  assert.deepEqual(anomalies.rows, [{ kind: 'rejected' }, { kind: 'repaired' }]);
  await assertStagingIsEmpty(loading);
});

for (const onConflict of ['ignore', 'update'] as const) {
  test(`a page that was on its way into what is merged already is nothing double (${onConflict})`, async (t) => {
    const { loader, merger, database } = await startLoading(t, { windows: TWO_WINDOWS });
    const below = ids('x', 300).map((id, i) => ({ id, timestamp: EDGE_MS - 1 - i }));
    const page = (name: string) => below.map((event) => ({ ...event, name }));
    await loader.load(pageOf(eventsOf(ids('n', 300)), { window: 1 }));
    await loader.load(pageOf(page('second window'), { window: 2 }));
    const late = (): Promise<unknown> => loader.load(pageOf(page('first window'), { window: 1, page: 2, table: 'b' }));
    const result = await merger(onConflict).merge('a', 2, latePagesOf(1, late));
    assert.deepEqual([result.inserted, result.duplicates], [600, 300]);
    const winner = onConflict === 'ignore' ? 'first window' : 'second window';
    const names = new Set((await targetRows(database)).flatMap(({ id, name }) => (id.startsWith('x') ? [name] : [])));
    assert.deepEqual([...names], [winner]);
  });
}

test('a merge of many double ids keeps both tables locked to its end', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  await database.query(`
    CREATE TABLE public.lock_seen (held bigint);
    CREATE FUNCTION public.see_lock() RETURNS event_trigger LANGUAGE plpgsql AS $body$
      BEGIN
        INSERT INTO public.lock_seen SELECT count(*) FROM pg_locks
         WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
           AND relation IN ('ingestion.staging_a_1'::regclass, 'ingestion.staging_b_1'::regclass);
      END $body$;
    CREATE EVENT TRIGGER see_lock ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.see_lock()`);
  await loader.load(pageOf(eventsOf(ids('a', 300))));
  const again = (): Promise<unknown> => loader.load(pageOf(eventsOf(ids('a', 200)), { page: 2, table: 'b' }));
  const result = await merger().merge('a', 1, latePagesOf(1, again));
  assert.deepEqual([result.inserted, result.duplicates], [300, 200]);
  const { rows } = await database.query<{ held: string }>('SELECT held FROM public.lock_seen');
  // The key is dropped with one table locked, and built at last with both.
  assert.deepEqual(
    rows.map(({ held }) => Number(held)),
    [1, 2],
  );
});

test('without late pages the first pages are merged alone', async (t) => {
  const loading = await startLoading(t);
  const { loader, merger } = loading;
  await loader.load(pageOf(eventsOf(['a'])));
  assert.deepEqual((await merger().merge('a', 1, () => Promise.resolve(null))).tables, ['a']);
  await loader.load(pageOf(eventsOf(['b']), { page: 2, table: 'b' }));
  assert.deepEqual((await merger().merge('b', 1)).tables, ['b']);
  assert.deepEqual(await targetIds(loading), ['a', 'b']);
});

test('a target with rows takes one table, and late pages are not waited for', async (t) => {
  const { loader, merger } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a'])));
  await merger().merge('a', 1);
  await loader.load(pageOf(eventsOf(['b']), { page: 2 }));
  const result = await merger().merge('a', 1, () => assert.fail('asked'));
  assert.deepEqual([result.tables, result.isInitialMerge], [['a'], false]);
});

for (const refused of ['first', 'late'] as const) {
  test(`an event that the merge refuses (among the ${refused} pages) leaves the late pages to a merge of their own, and costs only itself`, async (t) => {
    const loading = await startLoading(t);
    const { loader, merger, database, store } = loading;
    await database.query('CREATE UNIQUE INDEX one_name ON ingested_events (name)');
    await loader.load(
      pageOf([
        { id: 'a', name: 'one' },
        { id: 'b', name: refused === 'first' ? 'one' : 'two' },
      ]),
    );
    const later = (): Promise<unknown> =>
      loader.load(
        pageOf(
          [
            { id: 'c', name: 'three' },
            { id: 'd', name: refused === 'late' ? 'three' : 'four' },
          ],
          {
            page: 2,
            table: 'b',
          },
        ),
      );
    if (refused === 'first') await later();
    const first = await merger().merge(
      'a',
      1,
      refused === 'first' ? () => assert.fail('asked') : latePagesOf(1, later),
    );
    assert.deepEqual(first.tables, ['a']);
    const second = await merger().merge('b', 1);
    assert.deepEqual([first.inserted + second.inserted, first.rejected + second.rejected], [3, 1]);
    const { counts } = (await store.currentRun()) ?? assert.fail('no run');
    assert.deepEqual([counts.loaded, counts.inserted, counts.rejected], [3, 3, 1]);
    await assertStagingIsEmpty(loading);
  });
}

test('who counts the rows waits no longer for a job that is stopped in its early merge, which then begins again', async (t) => {
  // A stopped process watches nothing, and sends nothing; this one sends nothing until the reader is done.
  const { loader, merger, database } = await startLoading(t, { isTouched: true, open: { watchMs: 2 ** 30 } });
  await loader.load(pageOf(eventsOf(ids('a', 100))));
  const reader = await openClient(t, database.url);
  await reader.query(`SET statement_timeout = '30s'`);
  let reading: Promise<unknown> | null = null;
  const { inserted } = await merger().merge('a', 1, async () => {
    await (reading ??= reader.query('SELECT count(*) FROM ingested_events'));
    return null;
  });
  assert.equal(inserted, 100);
});

test('a merge whose connection is lost while it waits for late pages begins again, and includes them', async (t) => {
  const loading = await startLoading(t);
  const { loader, merger, database } = loading;
  await loader.load(pageOf(eventsOf(ids('a', 100))));
  let asked = 0;
  const latePages = latePagesOf(1, async () => {
    asked += 1;
    if (asked > 1) return;
    await loader.load(pageOf(eventsOf(ids('b', 100)), { page: 2, table: 'b' }));
    await eventually(
      database,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%merge' AND state = 'idle in transaction'`,
    );
  });
  const result = await merger().merge('a', 1, latePages);
  assert.equal(asked, 2);
  assert.deepEqual([result.tables, result.inserted, result.duplicates], [['a', 'b'], 200, 0]);
  assert.equal((await targetRows(database)).length, 200);
  await assertStagingIsEmpty(loading);
});

test('late pages with fewer ledger rows than were acknowledged change nothing', async (t) => {
  const loading = await startLoading(t);
  const { loader, merger } = loading;
  await loader.load(pageOf(eventsOf(['a'])));
  await loader.load(pageOf(eventsOf(['b']), { page: 2, table: 'b' }));
  await assert.rejects(merger().merge('a', 1, latePagesOf(2)), /the ledger of 1 pages, and 2 were acknowledged/);
  assert.deepEqual(await targetIds(loading), []);
  assert.deepEqual((await merger().merge('a', 1, latePagesOf(1))).tables, ['a', 'b']);
});

test('whatever lies in which table, every id is there once, and its row is the first that was served', async (t) => {
  const event = fc.record({ id: fc.integer({ min: 0, max: 40 }), offsetMs: fc.integer({ min: -60, max: 60 }) });
  const page = fc.record({ window: fc.constantFrom(1, 2), events: fc.array(event, { minLength: 1, maxLength: 25 }) });
  const load = fc.record({
    first: fc.array(page, { minLength: 1, maxLength: 4 }),
    late: fc.array(page, { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(load, async ({ first, late }) => {
      const { loader, merger, database } = await startLoading(t, { windows: TWO_WINDOWS });
      const expected = new Map<string, { place: number; name: string }>();
      const pagesOf = { 1: 0, 2: 0 };
      const send = async (pages: typeof first, table: 'a' | 'b'): Promise<void> => {
        for (const { window, events } of pages) {
          pagesOf[window] += 1;
          const page = pagesOf[window];
          const named = events.map(({ id, offsetMs }, at) => {
            const place = (window * 100 + page) * 100 + at;
            const row = { id: `id-${id}`, timestamp: EDGE_MS + offsetMs, name: `served at ${place}` };
            if (place < (expected.get(row.id)?.place ?? Infinity)) expected.set(row.id, { place, name: row.name });
            return row;
          });
          await loader.load(pageOf(named, { window, page, table, ledger: { lastEventMs: null } }));
        }
      };
      await send(first, 'a');
      const result = await merger().merge('a', first.length, async () => {
        await send(late, 'b');
        return late.length === 0 ? null : { table: 'b', pages: late.length };
      });
      const rows = await targetRows(database);
      assert.deepEqual(
        rows,
        [...expected].map(([id, { name }]) => ({ id, name })).sort((one, other) => (one.id < other.id ? -1 : 1)),
      );
      const served = [...first, ...late].reduce((sum, { events }) => sum + events.length, 0);
      assert.deepEqual([result.inserted, result.duplicates], [rows.length, served - rows.length]);
    }),
    { numRuns: 25 },
  );
});
