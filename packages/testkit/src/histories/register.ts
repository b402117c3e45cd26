import type { Action, Answer } from './call.js';

/**
 * One named object as the Docker Engine API has it: absent, or a value with an ID and a version. Answers to writes do
 * not say the new version, so that it is open (`undefined`) until somebody sees it; then it must be above `floor`.
 * The same goes for the ID of an object whose creation nobody was told of. `not` has the versions and IDs that an open
 * one turned out not to be. Versions are never given twice, so `floor` outlives the object.
 */
export interface Register {
  readonly present: boolean;
  readonly id: string | undefined;
  readonly version: number | undefined;
  readonly value: string | undefined;
  readonly floor: number;
  readonly not: readonly (number | string)[];
}

/** A name that nobody has used yet. */
export const absentRegister: Register = {
  present: false,
  id: undefined,
  version: undefined,
  value: undefined,
  floor: -1,
  not: [],
};

/**
 * The register after an action that took effect at once and was answered so; undefined where that cannot be. With the
 * answer `unknown` only an action that changes something can be.
 */
export function applyCall(register: Register, action: Action, answer: Answer): Register | undefined {
  switch (action.kind) {
    case 'create':
      return create(register, action.value, answer);
    case 'read':
      return read(register, answer);
    case 'update':
      return update(register, action, answer);
    case 'delete':
      return remove(register, action.id, answer);
  }
}

function create(register: Register, value: string, answer: Answer): Register | undefined {
  if (answer.kind === 'exists') return register.present ? register : undefined;
  if (register.present) return undefined;
  const id = answer.kind === 'created' ? answer.id : undefined;
  return answer.kind === 'created' || answer.kind === 'unknown'
    ? { present: true, id, version: undefined, value, floor: register.floor, not: [] }
    : undefined;
}

function read(register: Register, answer: Answer): Register | undefined {
  if (answer.kind === 'absent') return register.present ? undefined : register;
  if (answer.kind !== 'found' || answer.value !== register.value) return undefined;
  return bind(register, answer.id, answer.version);
}

function update(
  register: Register,
  { id, version, value }: Extract<Action, { kind: 'update' }>,
  answer: Answer,
): Register | undefined {
  if (answer.kind === 'absent') return beAnother(register, id);
  if (answer.kind === 'stale') return beAtAnother(bindId(register, id), version);
  if (answer.kind !== 'updated' && answer.kind !== 'unknown') return undefined;
  const seen = bind(register, id, version);
  return seen && { present: true, id, version: undefined, value, floor: version, not: [] };
}

function remove(register: Register, id: string, answer: Answer): Register | undefined {
  if (answer.kind === 'absent') return beAnother(register, id);
  if (answer.kind !== 'deleted' && answer.kind !== 'unknown') return undefined;
  const seen = bindId(register, id);
  return seen && { ...absentRegister, floor: seen.version ?? seen.floor };
}

/** The register with what was open about it now known; undefined where it is known to be otherwise. */
function bind(register: Register, id: string, version: number): Register | undefined {
  const seen = bindId(register, id);
  if (seen === undefined || seen.version === version) return seen;
  const fits = seen.version === undefined && version > seen.floor && !seen.not.includes(version);
  return fits ? { ...seen, version, not: [] } : undefined;
}

function bindId(register: Register, id: string): Register | undefined {
  if (!register.present || register.id === id) return register.present ? register : undefined;
  const fits = register.id === undefined && !register.not.includes(id);
  return fits ? { ...register, id, not: register.not.filter((other) => typeof other === 'number') } : undefined;
}

/** What a call about `id` that found nothing shows. */
function beAnother(register: Register, id: string): Register | undefined {
  if (!register.present) return register;
  return register.id === undefined ? exclude(register, id) : register.id === id ? undefined : register;
}

/** What a refusal of an update for `version` shows. */
function beAtAnother(register: Register | undefined, version: number): Register | undefined {
  if (register === undefined || register.version === version) return undefined;
  return register.version === undefined && version > register.floor ? exclude(register, version) : register;
}

function exclude(register: Register, other: number | string): Register {
  if (register.not.includes(other)) return register;
  return { ...register, not: [...register.not, other].sort() };
}
