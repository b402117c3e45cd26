import { isDeepStrictEqual } from 'node:util';

/** A field that has another value than it should; `undefined` is a field that is not there. */
export interface FieldChange {
  /** Dotted, with indexes: `TaskTemplate.ContainerSpec.Mounts[0].Source`. */
  readonly path: string;
  readonly from: unknown;
  readonly to: unknown;
}

type Members = Readonly<Record<string, unknown>>;

/**
 * The fields in which `to` differs from `from`, by path. Lists of plain values are one field; in lists of objects each
 * place is looked at by itself. Nothing comes back exactly when both are the same JSON, whatever the order of members.
 */
export function compareFields(from: unknown, to: unknown, path = ''): FieldChange[] {
  if (isDeepStrictEqual(from, to)) return [];
  if (isMembers(from) && isMembers(to)) {
    const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
    return names.flatMap((name) => compareFields(from[name], to[name], path === '' ? name : `${path}.${name}`));
  }
  if (isObjectList(from) && isObjectList(to)) {
    const length = Math.max(from.length, to.length);
    return Array.from({ length }, (_, at) => compareFields(from[at], to[at], `${path}[${at}]`)).flat();
  }
  return [{ path, from, to }];
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isObjectList(value: unknown): value is readonly Members[] {
  return Array.isArray(value) && value.length > 0 && value.every(isMembers);
}

const LONGEST_VALUE = 72;

/** A change in a line: `Mode.Replicated.Replicas: 2 → 3`; of a list what goes (`-`) and what comes (`+`). */
export function formatChange({ path, from, to }: FieldChange): string {
  if (path === 'Data') return 'Data: other content';
  if (Array.isArray(from) && Array.isArray(to)) {
    const gone = from.filter((item) => !to.includes(item)).map((item) => `-${formatValue(item)}`);
    const come = to.filter((item) => !from.includes(item)).map((item) => `+${formatValue(item)}`);
    if (gone.length + come.length > 0) return `${path}: ${[...gone, ...come].join(' ')}`;
  }
  return `${path}: ${formatValue(from)} → ${formatValue(to)}`;
}

function formatValue(value: unknown): string {
  if (value === undefined) return '(none)';
  const text = JSON.stringify(value);
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE)}…`;
}
