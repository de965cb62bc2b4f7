import { runShare } from '../share.ts';

await runShare('complete', { part: 1, of: 3 });
