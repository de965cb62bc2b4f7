/** No setting is decoration: each is asked for by the job, by those who watch it, or by its log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IngestionJob } from '../../../src/app/ingestion-job.ts';
import { embeddedDataDir, openSource } from '../../../src/app/run/job-source.ts';
import { confirmReset } from '../../../src/commands/confirm-reset.ts';
import { logToStderr } from '../../../src/commands/end-of-command.ts';
import { commandLine, readSettings, secretsOf, type Settings } from '../../../src/core/config.ts';
import { EXIT_CODES } from '../../../src/core/errors.ts';
import { SETTING_GROUPS, SETTINGS } from '../../../src/core/settings-table.ts';
import { startWatching } from '../../../src/watch/watching.ts';
import { testDatabase } from '../../support/database.ts';
import { ScriptedApi } from '../../support/scripted-api.ts';
import { eventsUpTo } from '../../support/scripted-events.ts';

/** Said, and accepted for one more version. */
const DOES_NOTHING = ['keepAlive'];
/** This job does not follow; what these do is held by test/follow. */
const OF_FOLLOWING = ['proveEvery', 'maxLag', 'keepAnomalies'];

void test('every setting is read by somebody', async (t) => {
  const api = await ScriptedApi.open(t, { events: eventsUpTo(20) });
  const { url } = await testDatabase(t);
  const flags = ['--log-level', 'silent', '--http-port', '0', '--reset', '--yes', '--threads', '1'];
  const settings = readSettings(commandLine('test', '', SETTING_GROUPS), flags, {
    API_BASE_URL: api.baseUrl,
    TARGET_API_KEY: 'test-key',
    DATABASE_URL: url,
  });
  const read = new Set<string>();
  const watched = new Proxy(settings, {
    get(of: Settings, name: keyof Settings) {
      read.add(name);
      return of[name];
    },
    ownKeys: () => assert.fail('settings are copied: then nobody can say which of them are read'),
  });
  const logger = logToStderr(watched);
  await confirmReset(watched, 'ingested_events');
  embeddedDataDir(watched);
  const source = await openSource(watched, false, logger);
  const job = new IngestionJob({
    settings: watched,
    source,
    logger,
    secrets: secretsOf(settings),
    onSecret: () => undefined,
  });
  const snapshot = () => job.snapshot();
  const watching = await startWatching({ settings: watched, logger, snapshot, display: null });
  const report = await job.run();
  assert.equal(report.counts.inserted, 20);
  watching.endProgress();
  await watching.close(EXIT_CODES.gaveUp, () => Promise.resolve('SIGTERM'));
  const names = SETTINGS.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !read.has(name) && !OF_FOLLOWING.includes(name)),
    DOES_NOTHING,
  );
});
