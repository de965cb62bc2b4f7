/** The address of a next page is kept without keys, and sent with them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextPosition } from '../../../src/source/next-position.ts';
import { requestShape } from '../../../src/source/request-shape.ts';
import { answered, described, headers } from './described.ts';

test('a key that was sent in a header, or is in the path, is not kept with the position, and is sent again', () => {
  const KEY = "a key/of+nobody's";
  const said = {
    url: 'https://api.example.com/bot${KEY}/things',
    next: { link: 'header' },
    auth: { bearer: '${KEY}' },
  };
  const source = described(said, { KEY });
  for (const spelled of [encodeURIComponent(KEY), new URLSearchParams({ KEY }).toString().slice(4)]) {
    const link = `<https://api.example.com/things/${encodeURIComponent(KEY)}?access_token=${spelled}&page=2>; rel=next`;
    const found = nextPosition(source, answered({ headers: headers({ link }) }));
    assert.ok(found.kind === 'next');
    assert.equal(found.position, 'https://api.example.com/things/${KEY}?access_token=${KEY}&page=2');
    const { url } = requestShape(source, { position: found.position, limit: 1, sinceMs: null, untilMs: null });
    assert.equal(url.searchParams.get('access_token'), KEY);
    assert.equal(url.pathname, `/things/${encodeURIComponent(KEY)}`);
  }
});

test('a key is not kept with the position as APIs write it that do not encode it, or in small letters', () => {
  const KEY = 'c2stbGl2ZS8x/+==';
  const source = described({ next: { link: 'header' }, auth: { bearer: '${KEY}' } }, { KEY });
  const small = encodeURIComponent(KEY).replaceAll(/%../g, (code) => code.toLowerCase());
  for (const spelled of [KEY, small]) {
    const link = `<https://api.example.com/things?access_token=${spelled}&page=2>; rel=next`;
    const found = nextPosition(source, answered({ headers: headers({ link }) }));
    assert.ok(found.kind === 'next');
    assert.equal(found.position, 'https://api.example.com/things?access_token=${KEY}&page=2');
  }
});
