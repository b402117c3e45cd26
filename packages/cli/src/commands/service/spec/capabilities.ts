/** Capabilities added to and dropped from an engine's default set, in canonical spelling (`CAP_NET_ADMIN`, `ALL`). */
export interface Capabilities {
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

const RESET = 'RESET';
const ALL = 'ALL';

/** The canonical spelling of a capability. */
export function capabilityName(text: string): string {
  const name = text.trim().toUpperCase();
  return name === ALL || name === RESET || name.startsWith('CAP_') ? name : `CAP_${name}`;
}

/**
 * What `--cap-add` and `--cap-drop` make of a service's capabilities: adding undoes a drop first, dropping undoes an
 * addition first, adding wins over dropping, `RESET` clears a list, and beside `ALL` no other is kept.
 */
export function changeCapabilities(
  current: Capabilities,
  change: { add: readonly string[]; drop: readonly string[] },
): { add: string[]; drop: string[] } {
  const toAdd = new Set(change.add.map(capabilityName));
  const toDrop = new Set(change.drop.map(capabilityName));
  const add = new Set(toAdd.delete(RESET) ? [] : current.add.map(capabilityName));
  const drop = new Set(toDrop.delete(RESET) ? [] : current.drop.map(capabilityName));
  for (const name of toAdd) {
    toDrop.delete(name);
    if (!drop.delete(name)) add.add(name);
  }
  for (const name of toDrop) {
    if (!add.delete(name)) drop.add(name);
  }
  return { add: listed(add), drop: listed(drop) };
}

function listed(names: ReadonlySet<string>): string[] {
  return names.has(ALL) ? [ALL] : [...names].toSorted();
}
