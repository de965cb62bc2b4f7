/** All that a target may have. */
import { COLUMN_PARTS } from './column-parts.ts';
import type { TargetPart } from './part.ts';
import { RULE_PARTS } from './rule-parts.ts';
import { TRIGGER_PARTS } from './trigger-parts.ts';

/** One of each group at most: parts of a group say different things about the same. */
export const PART_GROUPS: Readonly<Record<string, readonly TargetPart[]>> = {
  ...COLUMN_PARTS,
  ...RULE_PARTS,
  ...TRIGGER_PARTS,
};

/** The job may refuse these before it changes anything. */
const UNFIT: readonly string[] = ['no key', 'a key that can be deferred', 'row security without a policy', 'a rule'];
const UNFIT_FOR_UPDATES: readonly string[] = ['a policy lets nobody change'];

export function isUnfit({ name, unfit }: TargetPart, onConflict: 'ignore' | 'update'): boolean {
  if (unfit === 'always' || UNFIT.includes(name)) return true;
  return onConflict === 'update' && (unfit === 'update' || UNFIT_FOR_UPDATES.includes(name));
}

/** The part of that name. @throws when there is none: a replay line may be older than the parts */
export function partNamed(name: string): TargetPart {
  const found = Object.values(PART_GROUPS)
    .flat()
    .find((part) => part.name === name);
  if (found === undefined) throw new Error(`there is no part "${name}"`);
  return found;
}
