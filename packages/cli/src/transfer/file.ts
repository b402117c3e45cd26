import {
  ClusterSpecSchema,
  ConfigSpecSchema,
  canonicalServiceSpec,
  isErrorCode,
  NetworkSpecSchema,
  SecretSpecSchema,
  ServiceSpecSchema,
} from '@swarmd/model';
import { CommandError } from '../program/errors.js';
import { dataSpecOf, networkSpecOf } from './canonical.js';
import type { ClusterObjects, PortableNode, Snapshot } from './objects.js';

/** The first member of every export: what it is and which form it has. */
const FORMAT = 'swarmd-export-1';

/**
 * A cluster's objects as a file: JSON whose members are sorted, one value a line, so that the same objects are the same
 * text and two exports can be compared with diff. Ends in a newline.
 */
export function formatExport(objects: ClusterObjects): string {
  return `${JSON.stringify({ format: FORMAT, ...(sorted(objects) as object) }, null, 2)}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]));
}

/** Reads an export back. Throws CommandError that says where `text` is not one; `file` is its name. */
export function parseExport(text: string, file: string): Snapshot {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    throw new CommandError(`${file} is not JSON: ${(thrown as Error).message}`);
  }
  const given = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  if (given['format'] !== FORMAT) {
    throw new CommandError(`${file} is no export of swarmctl (its "format" is not ${FORMAT})`);
  }
  const check = <T>(schema: Schema<T>, value: unknown, where: string): T => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const { path, message } = result.error.issues[0]!;
    throw new CommandError(`${file}: ${[where, ...path.map(String)].join('.')}: ${message}`);
  };
  const list = <T>(name: keyof ClusterObjects, parse: (item: unknown, where: string) => T): T[] => {
    const items = given[name] ?? [];
    if (!Array.isArray(items)) throw new CommandError(`${file}: ${name} must be a list`);
    return items.map((item, at) => parse(item, `${name}[${at}]`));
  };
  const objects: ClusterObjects = {
    cluster: check(ClusterSpecSchema, given['cluster'] ?? {}, 'cluster'),
    nodes: list('nodes', (item, where) => parseNode(item, `${file}: ${where}`)),
    networks: list('networks', (item, where) => networkSpecOf(check(NetworkSpecSchema, item, where))),
    secrets: list('secrets', (item, where) => {
      const spec = dataSpecOf(check(SecretSpecSchema, item, where));
      if (spec.Data === undefined) return spec;
      throw new CommandError(`${file}: ${where}.Data: values of secrets are given apart (--secret, --secrets-dir)`);
    }),
    configs: list('configs', (item, where) => dataSpecOf(check(ConfigSpecSchema, item, where))),
    services: list('services', (item, where) => {
      try {
        return canonicalServiceSpec(check(ServiceSpecSchema, item, where));
      } catch (thrown) {
        if (isErrorCode(thrown, 'invalid-argument')) throw new CommandError(`${file}: ${where}: ${thrown.message}`);
        throw thrown;
      }
    }),
  };
  return { objects, handles: new Map(), remarks: new Map() };
}

interface Schema<T> {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: { path: PropertyKey[]; message: string }[] } };
}

function parseNode(item: unknown, where: string): PortableNode {
  const {
    Hostname,
    ID = '',
    Role = 'worker',
    Availability = 'active',
    Labels = {},
  } = (item ?? {}) as Partial<PortableNode>;
  const texts =
    typeof Labels === 'object' && Labels !== null && Object.values(Labels).every((value) => typeof value === 'string');
  if (typeof Hostname !== 'string' || Hostname === '') throw new CommandError(`${where}.Hostname must be a name`);
  if (!['active', 'pause', 'drain'].includes(Availability)) {
    throw new CommandError(`${where}.Availability must be active, pause or drain`);
  }
  if (!texts) throw new CommandError(`${where}.Labels must be texts by name`);
  return { Hostname, ID: String(ID), Role: Role === 'manager' ? 'manager' : 'worker', Availability, Labels };
}
