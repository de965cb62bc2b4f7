/** The end of a round of `--follow`. */
import type { Proof, RoundKind, Run } from '../../core/state.ts';
import type { StateStore } from '../../load/state/state-store.ts';

/** Rows of earlier runs are not counted: that would cost more than the round. One that took nothing leaves no trace. */
export async function completeRound(
  store: StateStore,
  { runId, counts }: Pick<Run, 'runId' | 'counts'>,
  round: RoundKind,
  proof: Proof,
): Promise<void> {
  const { fresh } = await store.foundEvents(runId);
  await store.completeRun(runId, { proof, emptyRound: fresh + counts.updated === 0 ? round : null });
}
