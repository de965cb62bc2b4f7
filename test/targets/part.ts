/**
 * What people have on their tables: each part is SQL that is laid on a plain target before the job comes. A combination that
 * PostgreSQL does not make is left out when the target is built.
 *
 * Events carry the marks that rules go by: `type` is `bad` or `worse` for some, `browser` is missing for some, and some names
 * come twice. Columns that begin with `v_` have values that differ from load to load.
 */
import type { ScriptedEvent } from '../support/scripted-events.ts';

export interface TargetPart {
  readonly name: string;
  /** `columns` come before the rows of others, `rules` after them. */
  readonly when: 'columns' | 'rules';
  readonly statements: readonly string[];
  /** The job may refuse such a table before it changes anything; `update`: only when it is to update rows. */
  readonly unfit?: 'always' | 'update';
  /** Events that a trigger leaves out, or takes out again, without an error: also where their id has a row, of another one. */
  readonly leavesOut?: (event: ScriptedEvent) => boolean;
}

export function columns(name: string, statement: string, more: Partial<TargetPart> = {}): TargetPart {
  return { name, when: 'columns', statements: [`ALTER TABLE ingested_events ${statement}`], ...more };
}

export function rule(name: string, ...statements: readonly string[]): TargetPart {
  return { name, when: 'rules', statements };
}

export function trigger(name: string, when: string, body: string, more: Partial<TargetPart> = {}): TargetPart {
  const id = name.replaceAll(/[^a-z0-9]+/gi, '_');
  const scope = when.includes('STATEMENT') ? '' : ' FOR EACH ROW';
  return {
    name,
    when: 'rules',
    statements: [
      `CREATE FUNCTION f_${id}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN NEW; END $$`,
      when.startsWith('DEFERRED')
        ? `CREATE CONSTRAINT TRIGGER t_${id} AFTER INSERT ON ingested_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f_${id}()`
        : `CREATE TRIGGER t_${id} ${when}${scope} EXECUTE FUNCTION f_${id}()`,
    ],
    ...more,
  };
}
