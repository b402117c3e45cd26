import { type Filters, type Labels, labelValue, SwarmdError } from '@swarmd/model';

/** Refuses filters that a list does not know, as Docker does: a typo must not answer with everything. */
export function checkFilters(filters: Filters, accepted: readonly string[]): void {
  for (const name of Object.keys(filters)) {
    if (!accepted.includes(name)) {
      throw new SwarmdError('invalid-argument', `invalid filter '${name}': accepted are ${accepted.join(', ')}`, {
        field: name,
      });
    }
  }
}

/** Checks that each value of a filter is one of `allowed`. */
export function checkFilterValues(filters: Filters, name: string, allowed: readonly string[]): void {
  for (const value of filters[name] ?? []) {
    if (!allowed.includes(value)) {
      throw new SwarmdError(
        'invalid-argument',
        `invalid ${name} filter: '${value}': accepted are ${allowed.join(', ')}`,
        { field: name },
      );
    }
  }
}

/** A test of one object against one filter; always true when the filter is absent. */
export type Test<O> = (object: O) => boolean;

/** Whether `text(object)` starts with any of the filter's values. */
export function prefixTest<O>(values: readonly string[] | undefined, text: (object: O) => string): Test<O> | undefined {
  if (values === undefined || values.length === 0) return undefined;
  return (object) => values.some((value) => text(object).startsWith(value));
}

/** Whether `text(object)` equals any of the filter's values. */
export function equalTest<O>(values: readonly string[] | undefined, text: (object: O) => string): Test<O> | undefined {
  if (values === undefined || values.length === 0) return undefined;
  const accepted = new Set(values);
  return (object) => accepted.has(text(object));
}

/** Whether `labels` satisfy every one of `key` (present, whatever its value) and `key=value`. */
export function matchesLabels(wanted: readonly string[], labels: Labels | null | undefined): boolean {
  return wanted.every((text) => {
    const cut = text.indexOf('=');
    const key = cut === -1 ? text : text.slice(0, cut);
    const value = cut === -1 ? '' : text.slice(cut + 1);
    const actual = labelValue(labels, key);
    return actual !== undefined && (value === '' || actual === value);
  });
}

/** {@link matchesLabels} as a test, absent when no label is asked for. */
export function labelTest<O>(
  values: readonly string[] | undefined,
  labels: (object: O) => Labels | null | undefined,
): Test<O> | undefined {
  if (values === undefined || values.length === 0) return undefined;
  return (object) => matchesLabels(values, labels(object));
}

/** The objects that pass all tests, ordered by ID as Docker lists them. */
export function select<O extends { ID: string }>(objects: Iterable<O>, tests: readonly (Test<O> | undefined)[]): O[] {
  const active = tests.filter((test) => test !== undefined);
  const found: O[] = [];
  for (const object of objects) if (active.every((test) => test(object))) found.push(object);
  return found.sort((a, b) => (a.ID < b.ID ? -1 : a.ID > b.ID ? 1 : 0));
}
