/** A key stands in no description: neither where it belongs, nor among the headers, the parameters and the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDescription } from '../../../src/source/read-description.ts';

const REST = 'name: things\nrecords: [data]\nid: [id]\nnext: { token: { path: [next], param: cursor } }\n';

function problemsOf(...lines: readonly string[]): string[] {
  const url = lines.some((line) => line.startsWith('url:')) ? [] : ['url: https://example.com/a'];
  const { problems } = readDescription(`${[...lines, ...url].join('\n')}\n${REST}`);
  return problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

const KEY = 'geheim-0123456789ab';

for (const [line, place] of [
  [`headers: { Accept: text/x, X-Api-Key: ${KEY} }`, '1:28 headers.x-api-key'],
  [`headers: { Cookie: "session=${KEY}" }`, '1:12 headers.cookie'],
  [`headers: { Private-Token: ${KEY} }`, '1:12 headers.private-token'],
  [`headers: { X-As: "Bearer ${KEY}" }`, '1:12 headers.x-as'],
  [`headers: { Authorization: "Basic ${KEY}" }`, '1:12 headers.authorization'],
  [`query: { a: 1, accessToken: ${KEY} }`, '1:16 query.accessToken'],
  [`query: { key: ${KEY} }`, '1:10 query.key'],
  [`query: { of: ghp_${'x1'.repeat(12)} }`, '1:10 query.of'],
  [`url: "https://example.com/a?part=1&api_key=${KEY}"`, '1:1 url'],
  [`url: "https://example.com/sk_live_12345678/a"`, '1:1 url'],
  [`url: "https://u:${KEY}@example.com/"`, '1:1 url'],
  [`url: "https://${KEY}@example.com/"`, '1:1 url'],
  [`url: "https://\${USER}:\${KEY}@example.com/"`, '1:1 url'],
  [`body: { login: { password: ${KEY} } }`, '1:18 body.login.password'],
  [`auth: { bearer: ${KEY} }`, '1:9 auth.bearer'],
  [`auth: { query: { param: key, value: ${KEY} } }`, '1:9 auth.query'],
] as const) {
  test(`refused, with what would be right, and not repeated: ${line.replace(KEY, '…')}`, () => {
    const [problem = '', ...others] = problemsOf(line, 'method: POST');
    assert.deepEqual(others, []);
    assert.ok(problem.startsWith(`${place}: `), problem);
    assert.match(problem, /with auth|a variable/);
    for (const key of [KEY, 'sk_live_', 'ghp_']) assert.ok(!problem.includes(key), problem);
  });
}

for (const [word, values] of Object.entries({
  headers: ['X-Api-Key: "${KEY}"', 'Cookie: "lang=de; session=${SESSION}"', 'Accept: application/vnd.api+json'],
  query: ['page_token: abcdef', 'key: name', 'sort_key: created', 'auth: true', 'include_token: 0', 'author: me'],
  url: ['"https://example.com/a?api_key=${KEY}"', '"https://example.com/tokens/?of=a"'],
})) {
  for (const value of values) {
    test(`may stand in a description: ${word} with ${value}`, () => {
      assert.deepEqual(problemsOf(`${word}: ${word === 'url' ? value : `{ ${value} }`}`), []);
    });
  }
}
