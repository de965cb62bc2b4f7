/**
 * A window that looks empty is asked about from outside: what lies below it, and where nothing comes from there either, what stands at
 * the top of all, which only shows that the API answers.
 */
import { NO_CURSOR, type PageRequest, type RawPage } from '../../api/api-client.ts';
import type { EncodedPage } from '../../core/encoded-page.ts';
import { judgeAcross } from './doubtful-end.ts';
import { nextPage, type NextPage } from './cursor-age.ts';
import type { JudgedWalk } from './judged-walk.ts';
import type { PageChecks } from './page-checks.ts';
import { endOfNothing, type Step } from './step.ts';

export class EmptyWindow {
  /** Something lies in the window. */
  isInhabited: boolean;
  /** Nothing came from below it: all the data lies above, or the API did not answer. */
  isUnanswered = false;
  wasAskedAbout = false;
  /** Since it looked empty, the API has served what lies elsewhere. */
  hasAnswer = false;
  readonly #walk: JudgedWalk;
  readonly #checks: PageChecks;

  constructor(walk: JudgedWalk, checks: PageChecks) {
    this.#walk = walk;
    this.#checks = checks;
    this.isInhabited = walk.isInhabited;
  }

  /**
   * @param raw `null`: the API says that nothing lies there. @returns `null`: nothing comes even from outside of the window
   * @throws what the encoder throws
   */
  async judge(request: PageRequest, raw: RawPage | null, asked: NextPage): Promise<Step | null> {
    const { encoder, emptyRanges } = this.#walk;
    const encoded = raw === null ? null : await encoder.encode(request, { instantMs: null }, raw);
    const page = encoded?.status === 'encoded' ? encoded : null;
    const isTop = request.across === 'top';
    if (isTop && this.isInhabited && this.#checks.findOtherTimes(page)) return { kind: 'needs-chain' };
    if (raw !== null && page !== null && this.#checks.mayFollow(request, page)) {
      const behind = nextPage(request, raw, page.envelope);
      return { kind: 'retry', next: { ...asked, ...behind, page: asked.page }, suspect: false };
    }
    const next = { ...asked, ...NO_CURSOR, across: undefined };
    const isUnclear = encoded?.status === 'faulty' && encoded.unclear !== undefined;
    const found = isUnclear ? 'answered' : this.#judge(page, isTop, raw);
    if (!isTop) {
      this.isUnanswered = found === 'silent';
      if (page?.times) emptyRanges.note(request.untilMs, page.times.newestMs);
      else if (page?.servedCount === 0 && !page.envelope.speaksOfError) emptyRanges.noteSilence(request.untilMs);
    }
    switch (found) {
      case 'empty':
        return endOfNothing(request.page, false);
      case 'inhabited':
      case 'answered':
        this.isInhabited ||= found === 'inhabited';
        this.hasAnswer = true;
        return { kind: 'retry', next, suspect: found === 'inhabited' };
      case 'silent':
        // Nothing lies below the oldest event either: then only the top of all can show that the API answers.
        if (!isTop) return { kind: 'retry', next: this.hasAnswer ? next : { ...next, across: 'top' }, suspect: false };
        this.isInhabited = true;
        return null;
    }
  }

  /** What stands at the top of all may lie above the window. Where it lies below it, whatever was served from here has vanished. */
  #judge(page: EncodedPage | null, isTop: boolean, raw: RawPage | null): ReturnType<typeof judgeAcross> {
    const { sinceMs } = this.#walk.position;
    if (!isTop) return judgeAcross(page, sinceMs);
    const isOld = raw === null || raw.fromCache;
    return !isOld && judgeAcross(page, sinceMs) === 'empty' ? 'empty' : judgeAcross(page, null);
  }
}
