import type { GenericResource } from '@swarmd/model';

/** A reservation of `count` units of a user-defined resource. */
export interface GenericNeed {
  kind: string;
  count: number;
}

/** What of one kind a node offers: a number of units, or named items. */
type Offer = { discrete: number } | { names: readonly string[] };

/** The user-defined resources that a node advertises, by kind. As in Docker Swarm, a kind's first entry decides its type. */
export type GenericOffers = ReadonlyMap<string, Offer>;

/** What tasks hold of a node's user-defined resources, by kind: units, and how many hold each named item. */
export interface GenericUse {
  units: Map<string, number>;
  names: Map<string, Map<string, number>>;
}

const NO_OFFERS: GenericOffers = new Map();

/** Reads a node's advertised list. */
export function readOffers(resources: readonly GenericResource[] | null | undefined): GenericOffers {
  if (!resources || resources.length === 0) return NO_OFFERS;
  const offers = new Map<string, Offer>();
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of resources) {
    if (discrete) {
      if (!offers.has(discrete.Kind)) offers.set(discrete.Kind, { discrete: discrete.Value });
    } else if (named) {
      const known = offers.get(named.Kind);
      if (known === undefined) offers.set(named.Kind, { names: [named.Value] });
      else if ('names' in known) offers.set(named.Kind, { names: [...known.names, named.Value] });
    }
  }
  return offers;
}

/** Nothing held. */
export function emptyUse(): GenericUse {
  return { units: new Map(), names: new Map() };
}

/** How many units or items of `kind` are free; `undefined` when the node does not know the kind. */
export function freeUnits(offers: GenericOffers, use: GenericUse | undefined, kind: string): number | undefined {
  const offer = offers.get(kind);
  if (offer === undefined) return undefined;
  if ('discrete' in offer) return offer.discrete - (use?.units.get(kind) ?? 0);
  return freeNames(offer.names, use?.names.get(kind)).length;
}

/** Whether every one of `needs` is free. */
export function hasEnough(offers: GenericOffers, use: GenericUse | undefined, needs: readonly GenericNeed[]): boolean {
  return needs.every(({ kind, count }) => {
    const free = freeUnits(offers, use, kind);
    return free !== undefined && count <= free;
  });
}

/** The resources that a task with `needs` is given: units, or the first free items in the advertised order. */
export function chooseGeneric(
  offers: GenericOffers,
  use: GenericUse | undefined,
  needs: readonly GenericNeed[],
): GenericResource[] {
  return needs.flatMap(({ kind, count }): GenericResource[] => {
    const offer = offers.get(kind);
    if (offer === undefined || count === 0) return [];
    if ('discrete' in offer) return [{ DiscreteResourceSpec: { Kind: kind, Value: count } }];
    return freeNames(offer.names, use?.names.get(kind))
      .slice(0, count)
      .map((name) => ({ NamedResourceSpec: { Kind: kind, Value: name } }));
  });
}

/** Adds `sign` (1 or -1) times `resources` to `use`. */
export function countGeneric(use: GenericUse, resources: readonly GenericResource[], sign: 1 | -1): void {
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of resources) {
    if (discrete) add(use.units, discrete.Kind, sign * discrete.Value);
    else if (named) {
      const held = use.names.get(named.Kind) ?? new Map<string, number>();
      add(held, named.Value, sign);
      if (held.size > 0) use.names.set(named.Kind, held);
      else use.names.delete(named.Kind);
    }
  }
}

/** Whether the node still offers all of `resources`, which a task was given, beside what `use` says others hold. */
export function stillOffered(offers: GenericOffers, use: GenericUse, resources: readonly GenericResource[]): boolean {
  return resources.every(({ DiscreteResourceSpec: discrete, NamedResourceSpec: named }) => {
    const offer = offers.get(discrete?.Kind ?? named?.Kind ?? '');
    if (offer === undefined) return false;
    if (discrete) return 'discrete' in offer && offer.discrete - (use.units.get(discrete.Kind) ?? 0) >= discrete.Value;
    if (!named || 'discrete' in offer) return false;
    return offer.names.includes(named.Value) && !use.names.get(named.Kind)?.has(named.Value);
  });
}

function freeNames(names: readonly string[], held: ReadonlyMap<string, number> | undefined): readonly string[] {
  return held === undefined ? names : names.filter((name) => !held.has(name));
}

function add(counts: Map<string, number>, key: string, delta: number): void {
  const next = (counts.get(key) ?? 0) + delta;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}
