import { compareFields, type FieldChange } from './compare.js';
import { handleKey, type Kind } from './objects.js';

/**
 * What is to happen with an object. `cannot` has a reason, and changes when the object exists and is not what it should
 * be; `absent` is a node of the source that is not here and has nothing to carry over.
 */
export type Verdict = 'create' | 'update' | 'same' | 'cannot' | 'absent' | 'remove';

/** An object and what is to happen with it. */
export interface PlanItem {
  readonly kind: Kind;
  readonly name: string;
  readonly verdict: Verdict;
  readonly reason?: string;
  readonly changes: readonly FieldChange[];
  /** What is different here, or not carried over; a sentence each. */
  readonly notes: readonly string[];
  /** What the object is to be, with names for IDs; there for `create` and `update`. */
  readonly desired?: object;
}

/** An item for an object: what it is to be against what it is; `undefined` does not exist. */
export function planObject(
  item: Pick<PlanItem, 'kind' | 'name' | 'notes'>,
  present: object | undefined,
  desired: object,
): PlanItem {
  if (present === undefined) return { ...item, verdict: 'create', changes: [], desired };
  const changes = compareFields(present, desired);
  if (changes.length === 0) return { ...item, verdict: 'same', changes };
  return { ...item, verdict: 'update', changes, desired };
}

/** The one of a name; names of all but nodes are the same whatever their case. */
export function named<T>(
  objects: readonly T[],
  kind: Kind,
  name: string,
  nameOf: (object: T) => string,
): T | undefined {
  return objects.find((object) => handleKey(kind, nameOf(object)) === handleKey(kind, name));
}

/** What a plan is made from besides the two clusters. */
export interface PlanOptions {
  /** Values of secrets that were given, base64, by name. */
  readonly secretValues: ReadonlyMap<string, string>;
  /** Nodes of the target by the source's name for them, where they differ. */
  readonly nodeNames: ReadonlyMap<string, string>;
  /** Kinds that are left alone. */
  readonly skip: ReadonlySet<Kind>;
  /** Removes what the source has not, labels of nodes too. */
  readonly prune: boolean;
}
