/** What is known of a setting beside its kind, and where that is kept. */
import { z } from 'zod';

/** A command takes the groups of settings that it needs. */
export const SETTING_GROUPS = [
  'source',
  'database',
  'speed',
  'run',
  'follow',
  'limits',
  'network',
  'serving',
  'output',
] as const;
export type SettingGroup = (typeof SETTING_GROUPS)[number];

export interface SettingOptions {
  /** As a person would write it. Without a default the kind is optional. */
  readonly default?: string;
  readonly unit?: string;
  readonly secret?: boolean;
  /** A switch: its flag takes no value. */
  readonly isSwitch?: boolean;
  /** What the flag means without a value. */
  readonly bare?: string;
  /** A variable without a flag: other programs already use its name. */
  readonly variableOnly?: boolean;
}

export interface SettingMeta extends SettingOptions {
  readonly group: SettingGroup;
  readonly variable: string;
  readonly text: string;
}

export const registry = z.registry<SettingMeta>();

/** Registers a copy of the kind: the registry knows settings by their schema, and two settings may be of one kind. */
export function inGroup(group: SettingGroup) {
  return <S extends z.ZodType>(variable: string, kind: S, text: string, options: SettingOptions = {}): S => {
    const schema = kind.clone();
    registry.add(schema, { group, variable, text, ...options });
    return schema;
  };
}
