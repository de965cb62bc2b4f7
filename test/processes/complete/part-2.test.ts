import { runShare } from '../share.ts';

await runShare('complete', { part: 2, of: 3 });
