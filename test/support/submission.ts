/** A folder with submit.sh in it, a list of ids, and a stand-in for curl. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { ScriptFolder } from './shell-scripts.ts';

export const SCRIPT = 'submit.sh';
export const REPOSITORY = 'https://github.com/yourusername/your-repo';
export const KEY = 'key "with\\odd" signs';
export const IDS = ['af5c33c8-8aac-4aa0-9448-b07b52ddaf9f', '00000000-0000-4000-8000-000000000001', 'evt-0000001'];
export const FILE = `${IDS.join('\n')}\n`;
export const RECEIPT = JSON.stringify({
  success: true,
  data: { eventCount: 3, remainingSubmissions: 4 },
  message: 'Submission received',
});

/** With a stand-in for curl, no Docker and no database. */
export async function folderWith(t: TestContext, file = FILE): Promise<ScriptFolder> {
  const folder = await ScriptFolder.create(t, [SCRIPT]);
  await folder.useStandIn('curl');
  await folder.write('.env', `API_BASE_URL="http://127.0.0.1:9/api/v1/"\nTARGET_API_KEY='${KEY}'\n`);
  if (file !== '') await folder.write('event_ids.txt', file);
  await folder.prepare({ http: '200', answer: RECEIPT });
  return folder;
}

export async function assertNothingSent(folder: ScriptFolder): Promise<void> {
  assert.equal(await folder.kept('arguments'), '');
}
