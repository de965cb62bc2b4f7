import { runShare } from './share.ts';

await runShare('integration', { part: 1, of: 4 });
