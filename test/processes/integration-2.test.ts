import { runShare } from './share.ts';

await runShare('integration', { part: 2, of: 4 });
