import { type CompiledField, type CompiledObject, NO_FIELD, USUAL } from '../plan/compiled-plan.ts';
import { TimeReader } from '../../core/times.ts';
import { isString, KIND } from './fields.ts';
import type { UuidWords } from './ids.ts';
import { KnownKeys } from './known-keys.ts';
import { MemberList } from './member-list.ts';

/** Number of the event that is read, or was read last. */
interface EventNumber {
  current: number;
}

/** Where one field is, and what is known of it; all but `kind` is valid only while the field is present. */
export class FieldSlice implements UuidWords {
  /** The event that it was found in last. */
  event = 0;
  /** Of its value there, one of KIND. */
  foundKind: number = KIND.absent;
  start = 0;
  end = 0;
  /** Opening quote of the key. */
  keyStart = 0;
  /** The event in which its value was last as `expected`; a UUID is then in the four words, a time in `time`. */
  usualIn = 0;
  /** The event in which it last had the very characters of the field that it repeats, a UUID. */
  sameIn = 0;
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  /** Reads the field's time; where it has none, it is nobody's. */
  readonly time: TimeReader;
  /** One of USUAL. */
  readonly expected: number;
  readonly isAlias: boolean;
  /** Of the object that it stands in. */
  readonly object: number;
  /** The field that it repeats. */
  readonly repeated: FieldSlice | null;
  /** The object that it may have as its value. */
  nested: ScannedObject | null = null;

  readonly #number: EventNumber;

  constructor({ usual, isAlias, object, format }: CompiledField, number: EventNumber, repeated: FieldSlice | null) {
    this.#number = number;
    this.expected = usual;
    this.isAlias = isAlias;
    this.object = object;
    this.repeated = repeated;
    this.time = usual === USUAL.time || format !== 'any' ? new TimeReader(format) : NO_TIME;
  }

  /** One of KIND. */
  get kind(): number {
    return this.event === this.#number.current ? this.foundKind : KIND.absent;
  }

  /** Its value is as `expected`. */
  get isUsual(): boolean {
    return this.usualIn === this.#number.current;
  }

  /** There, and not null. */
  get hasValue(): boolean {
    const { kind } = this;
    return kind !== KIND.absent && kind !== KIND.null;
  }

  /** Offset after the value, its closing quote included. */
  get memberEnd(): number {
    return isString(this.foundKind) ? this.end + 1 : this.end;
  }
}

const NO_TIME = new TimeReader();

/** An object of an event that has fields. */
export class ScannedObject {
  readonly known: KnownKeys;
  /** Members that have no column. */
  readonly others = new MemberList();
  readonly slices: readonly FieldSlice[];

  constructor({ keys }: CompiledObject, slices: readonly FieldSlice[]) {
    this.known = new KnownKeys(keys, slices.length);
    this.slices = keys.map(([, field]) => slices[field] ?? NO_SLICE);
  }
}

/** For the compiler alone, and for what has no field: every field has a slice, and every object its keys. */
export const NO_SLICE = new FieldSlice(
  { path: [], object: 0, usual: USUAL.nothing, format: 'any', isAlias: false, repeats: NO_FIELD },
  { current: 1 },
  null,
);
export const NO_OBJECT = new ScannedObject({ field: NO_FIELD, keys: [], isCovered: false }, []);
