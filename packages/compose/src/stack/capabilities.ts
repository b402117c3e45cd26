/**
 * `cap_add` and `cap_drop` as the engine names them (`CAP_…`, `ALL`), each sorted and without repeats; what is added is
 * not dropped, and `ALL` stands for every other. Source: `EffectiveCapAddCapDrop` of the docker CLI.
 */
export function effectiveCapabilities(
  add: readonly string[],
  drop: readonly string[],
): { add: string[]; drop: string[] } {
  const added = collapse(add);
  const dropped = collapse(drop);
  return { add: [...added].sort(), drop: [...dropped].filter((name) => !added.has(name)).sort() };
}

function collapse(names: readonly string[]): Set<string> {
  const normalised = new Set(names.map(normalise));
  return normalised.has('ALL') ? new Set(['ALL']) : normalised;
}

function normalise(name: string): string {
  const upper = name.trim().toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}
