/** The kinds of value a template tells apart; `nil` is both null and undefined. */
export type Kind = 'nil' | 'bool' | 'int' | 'float' | 'string' | 'slice' | 'map' | 'struct' | 'func';

const STRUCT_TYPE = Symbol('struct type');

type StructValue = Record<string, unknown> & { [STRUCT_TYPE]: string };

/**
 * `fields` as a Go struct of the named type: an unknown field is an error whatever the `missing` option says, it is
 * always true, and it prints as `{A B}` in the order of its fields. Plain objects are maps.
 */
export function structValue(typeName: string, fields: Readonly<Record<string, unknown>>): object {
  return Object.defineProperty({ ...fields }, STRUCT_TYPE, { value: typeName });
}

/** The kind of a value as Go would have it; a whole number within 2⁵³ is an int, others are floats. */
export function kindOf(value: unknown): Kind {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'number':
      return Number.isSafeInteger(value) ? 'int' : 'float';
    case 'bigint':
      return 'int';
    case 'function':
      return 'func';
    case 'object':
      if (value === null) return 'nil';
      if (Array.isArray(value)) return 'slice';
      return STRUCT_TYPE in value ? 'struct' : 'map';
    default:
      return 'nil';
  }
}

/** The name of the value's type as Go's %T prints it. */
export function typeName(value: unknown): string {
  switch (kindOf(value)) {
    case 'nil':
      return '<nil>';
    case 'float':
      return 'float64';
    case 'slice':
      return isStrings(value as unknown[]) ? '[]string' : '[]interface {}';
    case 'map':
      return isStringMap(value as object) ? 'map[string]string' : 'map[string]interface {}';
    case 'struct':
      return (value as StructValue)[STRUCT_TYPE];
    case 'func':
      return 'func()';
    default:
      return kindOf(value);
  }
}

function isStrings(values: readonly unknown[]): boolean {
  return values.length > 0 && values.every((value) => typeof value === 'string');
}

/** Whether a map can stand for a Go map[string]string: nothing in it is not a string. */
export function isStringMap(map: object): boolean {
  return entriesOf(map).every(([, value]) => typeof value === 'string');
}

/** The entries of a map, a struct or a Map in no particular order; functions are fields and come along. */
export function entriesOf(value: object): [string, unknown][] {
  return value instanceof Map ? [...value].map(([key, item]) => [String(key), item]) : Object.entries(value);
}

/** The entries of a map in the order Go ranges over and prints them: by the bytes of the keys. */
export function sortedEntries(value: object): [string, unknown][] {
  return entriesOf(value).sort(([a], [b]) => compareStrings(a, b));
}

/** The entry of a map or struct, only if it is its own: nothing is inherited. */
export function lookUp(value: object, key: string): { value: unknown } | undefined {
  if (value instanceof Map) return value.has(key) ? { value: value.get(key) } : undefined;
  return Object.hasOwn(value, key) ? { value: (value as Record<string, unknown>)[key] } : undefined;
}

/** Orders strings by their UTF-8 bytes, as Go does. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  // Surrogate pairs alone are ordered otherwise in UTF-16 than in UTF-8.
  if (/[\ud800-\udfff]/.test(a + b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

/** Whether Go's templates take the value for true: not zero, empty or nil. */
export function isTrue(value: unknown): boolean {
  switch (kindOf(value)) {
    case 'nil':
      return false;
    case 'slice':
      return (value as unknown[]).length > 0;
    case 'map':
      return (value instanceof Map ? value.size : Object.keys(value as object).length) > 0;
    case 'struct':
    case 'func':
      return true;
    default:
      return Boolean(value) || Number.isNaN(value);
  }
}
