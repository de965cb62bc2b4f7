import { runShare } from './share.ts';

await runShare('integration', { part: 4, of: 4 });
