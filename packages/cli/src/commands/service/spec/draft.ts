import type { ContainerSpec, ServiceSpec, TaskSpec } from '@swarmd/model';
import type { Flags, FlagValues } from '../../../program/command.js';
import { type Flag, list } from '../../../program/flag-types.js';

/** A service spec while flags are applied to it. */
export type SpecDraft = ServiceSpec & { TaskTemplate: TaskSpec & { ContainerSpec: ContainerSpec } };

/** What edits need besides flags: looked up before, so that they need no I/O. */
export interface EditInputs {
  /** IDs of the networks that flags name. */
  readonly networks: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, string>;
  readonly configs: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Variables of the files that `--env-file` names, in order. */
  readonly envFileVariables: readonly string[];
  /** Directory that relative bind mounts start from. */
  readonly directory: string;
}

/** Flags as a command got them. */
export interface GivenFlags {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly given: ReadonlySet<string>;
}

/** A row of the table of flags: which flags `create` and `update` have for a part of the spec, and what they do to it. */
export interface SpecEdit {
  readonly create: Flags;
  readonly update: Flags;
  /** Changes the draft if any of the flags was given. Throws CommandError for values that contradict each other. */
  apply(draft: SpecDraft, given: GivenFlags, inputs: EditInputs): void;
}

/** Flags that `create` and `update` share. `changed` says which were given. */
export function settings<F extends Flags>(
  flags: F,
  edit: (draft: SpecDraft, values: FlagValues<F>, changed: ReadonlySet<string>, inputs: EditInputs) => void,
  only?: 'create' | 'update',
): SpecEdit {
  const names = Object.keys(flags);
  return {
    create: only === 'update' ? {} : flags,
    update: only === 'create' ? {} : flags,
    apply(draft, { flags: values, given }, inputs) {
      if (names.some((name) => given.has(name))) edit(draft, values as FlagValues<F>, given, inputs);
    },
  };
}

/** One flag that sets one thing. */
export function setting<T>(
  name: string,
  flag: Flag<T | undefined>,
  edit: (draft: SpecDraft, value: T) => void,
  only?: 'create' | 'update',
): SpecEdit {
  return settings({ [name]: flag } as Flags, (draft, values) => edit(draft, values[name] as T), only);
}

/** A flag whose help names the default on `create` alone: on `update` it is what the service has. */
export interface DefaultedFlag {
  readonly make: (options: { defaultText?: string }) => Flag<unknown>;
  readonly defaultText?: string;
}

function flagsFor(command: 'create' | 'update', flags: Readonly<Record<string, DefaultedFlag>>): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([name, { make, defaultText }]) => [
      name,
      make(command === 'update' || defaultText === undefined ? {} : { defaultText }),
    ]),
  );
}

/** The row for a group of such flags; `edit` gets those that were given. */
export function defaulted(
  flags: Readonly<Record<string, DefaultedFlag>>,
  edit: (draft: SpecDraft, given: ReadonlyMap<string, unknown>) => void,
): SpecEdit {
  return {
    create: flagsFor('create', flags),
    update: flagsFor('update', flags),
    apply(draft, { flags: values, given }) {
      const changed = Object.keys(flags).filter((name) => given.has(name));
      if (changed.length > 0) edit(draft, new Map(changed.map((name) => [name, values[name]])));
    },
  };
}

/** The three flags of a list: on `create` under its own name, on `update` with `-add` and `-rm`. */
export interface CollectionDefinition<T> {
  /** Name on `create`, and what `-add` and `-rm` follow on `update`. */
  name: string;
  short?: string;
  /** Usage texts of the flag on `create`, of `-add` and of `-rm`. */
  usage: readonly [create: string, add: string, rm: string];
  /** The flag for items to add. */
  flag?: (usage: string, options: { short?: string }) => Flag<T[]>;
  edit: (draft: SpecDraft, change: { added: readonly T[]; removed: readonly string[] }, inputs: EditInputs) => void;
}

/** A list of things that `update` adds to and removes from. */
export function collection<T = string>(definition: CollectionDefinition<T>): SpecEdit {
  const { name, short, usage, edit } = definition;
  const flag = definition.flag ?? ((text: string, options) => list(text, options) as unknown as Flag<T[]>);
  const [onCreate, onAdd, onRemove] = usage;
  return {
    create: { [name]: flag(onCreate, short === undefined ? {} : { short }) as Flag<unknown> },
    update: { [`${name}-add`]: flag(onAdd, {}) as Flag<unknown>, [`${name}-rm`]: list(onRemove) as Flag<unknown> },
    apply(draft, { flags, given }, inputs) {
      const [add, remove] = [`${name}-add`, `${name}-rm`];
      if (![name, add, remove].some((candidate) => given.has(candidate))) return;
      const added = (given.has(name) ? flags[name] : (flags[add] ?? [])) as readonly T[];
      edit(draft, { added, removed: (flags[remove] ?? []) as readonly string[] }, inputs);
    },
  };
}

/** The values without those removed, then those added; each once. */
export function changeSet(
  current: readonly string[] | null | undefined,
  { added, removed }: { added: readonly string[]; removed: readonly string[] },
): string[] {
  return [...new Set([...(current ?? []), ...added])].filter((value) => !removed.includes(value));
}

/** The pairs without those removed, then those added, from `key=value` texts. */
export function changePairs(
  current: Readonly<Record<string, string>> | null | undefined,
  { added, removed }: { added: readonly string[]; removed: readonly string[] },
): Record<string, string> {
  const kept = Object.entries(current ?? {}).filter(([key]) => !removed.includes(key));
  return Object.fromEntries([...kept, ...added.map(splitPair)]);
}

/** Key and value of `key=value`; the value is empty where there is none. */
export function splitPair(text: string): [string, string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
