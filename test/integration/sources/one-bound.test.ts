/**
 * Lists with their oldest record first, and lists that take one bound of time: where a run begins, how it goes on behind a dead cursor
 * and after a start that was broken off, and what becomes of records that come or change meanwhile. Each from a shop of its own.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DescribedScene, assertCode, type DescribedEnd } from '../../support/described-scene.ts';
import { openShopOrders, type Shop, type ShopOptions } from '../../support/vendors/shop-orders.ts';

type Bounds = ShopOptions['bounds'];

const PAGE = 50;

interface Opened {
  readonly scene: DescribedScene;
  readonly shop: Shop;
}

function description(origin: string, { order, bounds }: Pick<ShopOptions, 'order' | 'bounds'>): string {
  const words = [
    ...(bounds.includes('updated_from') ? ['since: updated_from'] : []),
    ...(bounds.includes('updated_to') ? ['until: updated_to'] : []),
  ];
  return `
name: shop-orders
url: ${origin}/api/orders
records: [orders]
size: { param: per_page, max: ${PAGE} }
next: { token: { path: [meta, next], param: after } }
more: { path: [meta, more] }
order: ${order === 'asc' ? 'oldest-first' : 'newest-first'}
time: { ${['path: [updated_at]', ...words, 'format: iso', 'granularity: 1s'].join(', ')} }
id: [id]
version: [updated_at]
errors: { path: [error], stale: [token_expired], refusedKey: [no_key] }
columns:
  id: { path: [id], type: bigint }
  updated_at: { path: [updated_at], type: timestamptz }
  customer: { path: [customer, name], type: text }
  lines: { path: [lines], type: jsonb }
`;
}

async function open(
  t: TestContext,
  order: ShopOptions['order'],
  bounds: Bounds,
  options: Partial<ShopOptions> & { readonly rewrite?: (text: string) => string } = {},
): Promise<Opened> {
  const { shop, stub } = await openShopOrders(t, { count: 600, ...options, order, bounds });
  const { rewrite = (text: string) => text } = options;
  return { shop, scene: await DescribedScene.of(t, stub, rewrite(description(stub.origin, { order, bounds }))) };
}

/** A run of its own: how many requests it took. @throws unless it ends with 0 and the table holds exactly what the shop has */
async function load(
  { scene, shop }: Opened,
  ...flags: readonly string[]
): Promise<{ end: DescribedEnd; requests: number }> {
  const before = shop.asked.length;
  const end = await scene.ingestAll(['--on-conflict', 'update', '--lookback', '10m', ...flags]);
  return { end, requests: shop.asked.length - before };
}

const BEGUN_BY_TIME: readonly (readonly [ShopOptions['order'], Bounds])[] = [
  ['asc', ['updated_from']],
  ['asc', ['updated_from', 'updated_to']],
  ['desc', ['updated_to']],
];

for (const [order, bounds] of BEGUN_BY_TIME) {
  void test(`${order} with ${bounds.join(' and ')}: dead cursors, a start that was broken off, a later run`, async (t) => {
    let isBroken = true;
    let isLater = false;
    const opened = await open(t, order, bounds, {
      ofOneSecond: 3 * PAGE,
      errorOf: (number) => (isBroken && number > 10 ? 'no_key' : undefined),
      onRequest: ({ number }, shop) => {
        if (!isLater && number % 6 === 0) shop.deadBefore = number;
      },
    });
    const { scene, shop } = opened;
    const broken = await scene.ingest(['--concurrency', '1']);
    assertCode(broken, 3);
    isBroken = false;
    const { requests, end } = await load(opened, '--concurrency', '1');
    assert.ok(requests < 20, `${requests} requests`);
    const log = [...broken.log, ...end.log].join('');
    assert.match(log, /a cursor is stale; going on by time/);
    assert.doesNotMatch(log, /walking from the top/);

    isLater = true;
    shop.add(30);
    shop.change(0, 300, 599);
    const later = await load(opened);
    assert.ok(later.requests <= 9, `${later.requests} requests`);
  });
}

void test('oldest first, with a bound where the list ends: each run reads it all', async (t) => {
  const opened = await open(t, 'asc', ['updated_to'], { count: 200 });
  await load(opened);
  opened.shop.add(30);
  opened.shop.change(0, 100);
  assert.ok((await load(opened)).requests >= 5);
});

void test('newest first, with a bound where the list ends, or none: a later run ends where the one before it began', async (t) => {
  for (const bounds of [['updated_from'], []] as const) {
    const opened = await open(t, 'desc', bounds, { everySeconds: 3_600 });
    await load(opened);
    opened.shop.add(30);
    const { requests } = await load(opened);
    assert.ok(requests <= 9, `${requests} requests`);
  }
});

void test('oldest first, in windows: what moves behind the end when that was read is read there', async (t) => {
  let isMoved = false;
  let isHeld = false;
  const opened = await open(t, 'asc', ['updated_from', 'updated_to'], {
    count: 1_500,
    errorOf: () => (isHeld ? 'busy' : undefined),
    onRequest: ({ url }, shop) => {
      // Windows that do not reach to the end wait for the one that does.
      const isOfOther = url.searchParams.has('updated_to');
      isHeld = isOfOther && !shop.hasServedEnd && shop.asked.length > 20;
      if (!isMoved && isOfOther && shop.hasServedEnd) isMoved = shop.changeUnserved() > 0;
    },
  });
  await load(opened);
  assert.ok(isMoved);
});

void test('oldest first: what comes while the list is read counts', async (t) => {
  const opened = await open(t, 'asc', ['updated_from'], {
    count: 300,
    rewrite: (text) => `${text}total: { path: [meta, count] }\n`,
    onRequest: ({ number }, shop) => {
      if (number < 9) shop.add(20);
    },
  });
  await load(opened);
  const { rows } = await opened.scene.database.query<{ kind: string }>(
    "SELECT proof ->> 'kind' AS kind FROM ingestion.run",
  );
  assert.deepEqual(rows, [{ kind: 'count' }]);
});

void test('oldest first is believed once pages have shown it', async (t) => {
  const opened = await open(t, 'desc', ['updated_from', 'updated_to'], {
    count: 300,
    rewrite: (text) => text.replace('newest-first', 'oldest-first'),
  });
  const { end } = await load(opened);
  assert.match(end.log.join(''), /the API's order is not that of the events' times/);
});
