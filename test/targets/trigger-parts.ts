/** Triggers that change, drop, refuse or take out rows. */
import type { ScriptedEvent } from '../support/scripted-events.ts';
import { trigger, type TargetPart } from './part.ts';

/** SQLSTATEs by which somebody's trigger refuses a row. None of the classes that are surely not about a row. */
const ODD_STATES = [
  'P0001',
  'P0002',
  'P0004',
  'UE001',
  '42501',
  '42P01',
  '55000',
  '0A000',
  '22012',
  '21000',
  '02000',
  '2D000',
  '38001',
  'Z0001',
  '3D000',
  '42601',
  '54001',
  '23000',
];

const isWorse = (event: ScriptedEvent): boolean => event['type'] === 'worse';
const hasFive = ({ properties }: ScriptedEvent): boolean => /"n":-?\d*5\b/.test(JSON.stringify(properties));

const REFUSING = ODD_STATES.map((state) =>
  trigger(
    `a trigger refuses with ${state}`,
    'BEFORE INSERT ON ingested_events',
    `IF NEW.type = 'worse' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '${state}'; END IF;`,
  ),
);

export const TRIGGER_PARTS: Readonly<Record<string, readonly TargetPart[]>> = {
  'before insert': [
    ...REFUSING,
    trigger(
      'a trigger drops rows',
      'BEFORE INSERT ON ingested_events',
      `IF NEW.type = 'worse' THEN RETURN NULL; END IF;`,
      { leavesOut: isWorse },
    ),
    trigger('a trigger changes the browser', 'BEFORE INSERT ON ingested_events', `NEW.browser := upper(NEW.browser);`),
    trigger(
      'a trigger changes what is written',
      'BEFORE INSERT OR UPDATE ON ingested_events',
      `NEW.properties := NEW.properties || '{"seen": true}';`,
    ),
    trigger(
      'a trigger drops and changes',
      'BEFORE INSERT ON ingested_events',
      `NEW.device_type := 'their ' || NEW.device_type; IF NEW.type = 'worse' THEN RETURN NULL; END IF;`,
      { leavesOut: isWorse },
    ),
    trigger(
      'a trigger fails on a missing browser',
      'BEFORE INSERT ON ingested_events',
      `IF NEW.browser IS NULL THEN RAISE EXCEPTION 'no browser' USING ERRCODE = 'P0002'; END IF;`,
    ),
    trigger('a trigger only looks', 'BEFORE INSERT OR UPDATE OR DELETE ON ingested_events', ''),
    trigger('a trigger asserts', 'BEFORE INSERT ON ingested_events', `ASSERT NEW.type <> 'worse', 'not this one';`),
  ],
  'before update': [
    trigger(
      'a trigger leaves changes out',
      'BEFORE UPDATE ON ingested_events',
      `IF NEW.properties->>'n' LIKE '%5' THEN RETURN NULL; END IF;`,
      { leavesOut: hasFive },
    ),
    trigger(
      'a trigger refuses changes',
      'BEFORE UPDATE ON ingested_events',
      `IF NEW.properties->>'n' LIKE '%3' THEN RAISE EXCEPTION 'no change' USING ERRCODE = 'UE002'; END IF;`,
    ),
    trigger(
      'a trigger refuses every change',
      'BEFORE UPDATE ON ingested_events',
      `RAISE EXCEPTION 'no change' USING ERRCODE = '55000';`,
    ),
    trigger('a trigger keeps the name', 'BEFORE UPDATE ON ingested_events', 'NEW.name := OLD.name;'),
    trigger(
      'a trigger on the session',
      'BEFORE UPDATE OF session_id ON ingested_events',
      `NEW.device_type := 'changed';`,
    ),
  ],
  'after insert': [
    trigger(
      'a trigger takes rows out again',
      'AFTER INSERT ON ingested_events',
      `IF NEW.type = 'worse' THEN DELETE FROM ingested_events WHERE id = NEW.id; END IF;`,
      { leavesOut: isWorse },
    ),
    trigger(
      'a trigger refuses afterwards',
      'AFTER INSERT ON ingested_events',
      `IF NEW.type = 'worse' THEN RAISE EXCEPTION 'too late' USING ERRCODE = 'UE003'; END IF;`,
    ),
    trigger(
      'a trigger refuses at the end',
      'DEFERRED',
      `IF NEW.type = 'worse' THEN RAISE EXCEPTION 'at the end' USING ERRCODE = '23514'; END IF;`,
    ),
    trigger(
      'a trigger changes rows afterwards',
      'AFTER INSERT ON ingested_events',
      `UPDATE ingested_events SET browser = 'theirs' WHERE id = NEW.id AND type = 'worse';`,
    ),
    trigger(
      'a trigger refuses many at once',
      'AFTER INSERT ON ingested_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT',
      `IF (SELECT count(*) FROM new_rows) > 40 THEN RAISE EXCEPTION 'too many at once' USING ERRCODE = '54000'; END IF;`,
    ),
    trigger(
      'a trigger refuses some at the end of a statement',
      'AFTER INSERT ON ingested_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT',
      `IF EXISTS (SELECT FROM new_rows WHERE type = 'worse') THEN RAISE EXCEPTION 'not these' USING ERRCODE = 'P0003'; END IF;`,
    ),
    {
      ...trigger(
        'a trigger writes a log',
        'AFTER INSERT OR UPDATE ON ingested_events',
        'INSERT INTO log_of_events VALUES (NEW.id::text);',
      ),
      statements: [
        'CREATE TABLE log_of_events (id text)',
        'GRANT INSERT ON log_of_events TO PUBLIC',
        'CREATE FUNCTION f_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log_of_events VALUES (NEW.id::text); RETURN NEW; END $$',
        'CREATE TRIGGER t_log AFTER INSERT OR UPDATE ON ingested_events FOR EACH ROW EXECUTE FUNCTION f_log()',
      ],
    },
    trigger(
      'a trigger against TRUNCATE',
      'BEFORE TRUNCATE ON ingested_events FOR EACH STATEMENT',
      `RAISE EXCEPTION 'never';`,
    ),
    trigger('a trigger against DELETE', 'BEFORE DELETE ON ingested_events', `RAISE EXCEPTION 'never';`),
  ],
};
