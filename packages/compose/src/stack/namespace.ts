import type { Labels } from '@swarmd/model';

/** Marks everything that belongs to a stack. */
export const STACK_NAMESPACE_LABEL = 'com.docker.stack.namespace';
/** Holds the image as the file names it, on each service of a stack. */
export const STACK_IMAGE_LABEL = 'com.docker.stack.image';

/** `name` as it is called outside the stack. */
export function scoped(namespace: string, name: string): string {
  return `${namespace}_${name}`;
}

/** `labels` with the stack's own. */
export function stackLabels(namespace: string, labels: Labels): Labels {
  return { ...labels, [STACK_NAMESPACE_LABEL]: namespace };
}

/** `record` without what Go calls empty: undefined, '', 0, false, [] and {}; the Docker Engine API leaves these out. */
export function omitEmpty<T extends object>(record: T): Partial<T> {
  const isEmpty = (value: unknown) =>
    value === undefined ||
    value === '' ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(record).filter(([, value]) => !isEmpty(value))) as Partial<T>;
}

/** `items` in the order of `key`, compared as plain text; equal ones stay as they are. */
export function sortedBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
