/** What a walk does when its cursor leads nowhere. */
import { NO_CURSOR } from '../../api/api-client.ts';
import { isoText } from '../../core/iso-text.ts';
import { turnTime } from '../../core/walk-time.ts';
import type { ByTime } from './chain.ts';
import type { NextPage } from './cursor-age.ts';
import { canGoOnByTime } from './end-questions.ts';
import type { JudgedWalk, JudgeOptions } from './judged-walk.ts';
import type { PageChecks } from './page-checks.ts';
import type { Step } from './step.ts';

export class DeadCursors {
  readonly #options: Pick<JudgeOptions, 'traits' | 'logger' | 'onRetry'>;
  readonly #walk: JudgedWalk;
  readonly #checks: PageChecks;

  constructor(options: Pick<JudgeOptions, 'traits' | 'logger' | 'onRetry'>, walk: JudgedWalk, checks: PageChecks) {
    this.#options = options;
    this.#walk = walk;
    this.#checks = checks;
  }

  /** What an old cursor led to may be what a dead one is answered with. */
  beginAnew(detail: string, asked: NextPage, byTime: ByTime): Step {
    this.#options.traits.wasBegunAnew = true;
    this.#options.traits.servedBeforeAnew = this.#walk.chain.served ?? 0;
    return this.drop(detail, asked, byTime);
  }

  /** The walk goes on by time where it can. */
  drop(detail: string, asked: NextPage, byTime: ByTime): Step {
    const { logger, onRetry, traits } = this.#options;
    const { chain, position, windowId } = this.#walk;
    chain.noteBroken(detail);
    onRetry('stale-cursor');
    if (this.#checks.noteStaleCursor(asked.page)) position.forgetAnchor();
    const where = { window: windowId, page: asked.page };
    if (!canGoOnByTime(byTime, this.#walk)) {
      logger.warn(where, `a cursor is stale and this walk cannot go on by time; walking from the top: ${detail}`);
      return { kind: 'needs-chain' };
    }
    const from = position.topMs === null ? null : isoText(turnTime(position.topMs, traits.isOldestFirst));
    logger.debug({ ...where, from }, `a cursor is stale; going on by time: ${detail}`);
    return { kind: 'retry', next: { ...asked, ...NO_CURSOR }, suspect: true };
  }
}
