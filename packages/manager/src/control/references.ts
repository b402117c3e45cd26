import { type ReadView, SwarmdError, type TableTypes, type Task, taskName } from '@swarmd/model';
import { notFound } from './errors.js';

/** Tables whose objects a client can name. */
type Named = 'service' | 'node' | 'secret' | 'config' | 'network';

/** The name by which people call an object. */
export function nameOf<T extends Named>(table: T, object: TableTypes[T]): string {
  if (table === 'node') return (object as TableTypes['node']).Description?.Hostname ?? '';
  return (object as TableTypes[Exclude<Named, 'node'>]).Spec.Name ?? '';
}

const visible = (table: Named, object: TableTypes[Named]): boolean =>
  table !== 'service' || (object as TableTypes['service']).PendingDelete !== true;

function byName<T extends Named>(view: ReadView, table: T, name: string): TableTypes[T][] {
  const key = name.toLowerCase();
  const found =
    table === 'node' ? view.find('node', 'hostname', key) : view.find(table as 'service', 'name' as const, key);
  return [...(found as Iterable<TableTypes[T]>)].filter((o) => nameOf(table, o) === name && visible(table, o));
}

/**
 * The one object that `ref` means: an ID, else a name, else an unambiguous ID prefix, in Docker's order.
 * Throws `not-found`, or `invalid-argument` when several match.
 */
export function resolve<T extends Named>(view: ReadView, table: T, ref: string): TableTypes[T] {
  const exact = view.get(table, ref);
  if (exact !== undefined && visible(table, exact)) return exact;
  const named = byName(view, table, ref);
  if (named.length === 1) return named[0]!;
  if (named.length > 1) throw ambiguous(table, ref, named.length);
  const prefixed = withIdPrefix(view.all(table), ref).filter((o) => visible(table, o));
  if (prefixed.length === 1) return prefixed[0]!;
  if (prefixed.length > 1) throw ambiguous(table, ref, prefixed.length);
  throw notFound(table, ref);
}

/** The one task that `ref` means: an ID, a `service.slot.id` name, or an unambiguous ID prefix. */
export function resolveTask(view: ReadView, ref: string): Task {
  const exact = view.get('task', ref) ?? view.get('task', ref.slice(ref.lastIndexOf('.') + 1));
  if (exact !== undefined && (exact.ID === ref || taskName(exact) === ref)) return exact;
  const prefixed = withIdPrefix(view.all('task'), ref);
  if (prefixed.length === 1) return prefixed[0]!;
  if (prefixed.length > 1) throw ambiguous('task', ref, prefixed.length);
  throw notFound('task', ref);
}

function withIdPrefix<O extends { ID: string }>(objects: Iterable<O>, prefix: string): O[] {
  const found: O[] = [];
  if (prefix === '') return found;
  for (const object of objects) if (object.ID.startsWith(prefix)) found.push(object);
  return found;
}

function ambiguous(kind: string, ref: string, count: number): SwarmdError {
  return new SwarmdError('invalid-argument', `${kind} ${ref} is ambiguous (${count} matches found)`);
}
