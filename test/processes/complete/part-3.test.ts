import { runShare } from '../share.ts';

await runShare('complete', { part: 3, of: 3 });
