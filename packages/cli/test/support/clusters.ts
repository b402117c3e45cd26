import type { ServiceSpec } from '@swarmd/model';
import { canonicalServiceSpec } from '@swarmd/model';
import fc from 'fast-check';
import { type ClusterObjects, type Handle, handleKey, type Snapshot } from '../../src/transfer/objects.js';
import type { PlanItem, PlanOptions } from '../../src/transfer/plan-item.js';

/** Options that say nothing special. */
export const PLAIN: PlanOptions = { secretValues: new Map(), nodeNames: new Map(), skip: new Set(), prune: false };

/** Options with values for these secrets. */
export const withSecrets = (...names: string[]): PlanOptions => ({
  ...PLAIN,
  secretValues: new Map(names.map((name) => [name, 'QQ=='])),
});

/** A cluster with these objects and nothing else. */
export function objects(over: Partial<ClusterObjects> = {}): ClusterObjects {
  return { cluster: {}, nodes: [], networks: [], secrets: [], configs: [], services: [], ...over };
}

/** A cluster as it would be read: each object has a handle. */
export function snapshot(over: Partial<ClusterObjects> = {}): Snapshot {
  const all = objects(over);
  const handles = new Map<string, Handle>();
  const keep = (key: string): void => void handles.set(key, { id: `id-of-${key}`, version: 1 });
  keep(handleKey('cluster', ''));
  for (const { Hostname } of all.nodes) keep(handleKey('node', Hostname));
  for (const { Name } of all.networks) keep(handleKey('network', Name));
  for (const { Name } of all.secrets) keep(handleKey('secret', Name));
  for (const { Name } of all.configs) keep(handleKey('config', Name));
  for (const { Name = '' } of all.services) keep(handleKey('service', Name));
  return { objects: all, handles, remarks: new Map() };
}

/** A service that uses these things by name. */
export function service(
  name: string,
  uses: { networks?: string[]; secrets?: string[]; configs?: string[]; constraints?: string[] } = {},
  over: Partial<ServiceSpec> = {},
): ServiceSpec {
  const { networks = [], secrets = [], configs = [], constraints = [] } = uses;
  const file = (Name: string) => ({ File: { Name, UID: '0', GID: '0', Mode: 0o444 } });
  return canonicalServiceSpec({
    Name: name,
    TaskTemplate: {
      ContainerSpec: {
        Image: 'app:1',
        Secrets: secrets.map((SecretName) => ({ ...file(SecretName), SecretID: '', SecretName })),
        Configs: configs.map((ConfigName) => ({ ...file(ConfigName), ConfigID: '', ConfigName })),
      },
      Networks: networks.map((Target) => ({ Target })),
      ...(constraints.length > 0 ? { Placement: { Constraints: constraints } } : {}),
    },
    ...over,
  });
}

/** What a target would be after a plan was carried out: the dumb oracle of the executor. */
export function carriedOut(target: ClusterObjects, items: readonly PlanItem[]): ClusterObjects {
  const result = structuredClone(target);
  const lists = { network: 'networks', secret: 'secrets', config: 'configs', service: 'services' } as const;
  for (const { kind, name, verdict, desired } of items) {
    if (verdict !== 'create' && verdict !== 'update' && verdict !== 'remove') continue;
    if (kind === 'cluster') result.cluster = { ...result.cluster, ...desired };
    else if (kind === 'node') {
      Object.assign(result.nodes.find(({ Hostname }) => Hostname === name)!, structuredClone(desired));
    } else {
      const list: { Name?: string }[] = result[lists[kind]];
      const others = list.filter(({ Name = '' }) => handleKey(kind, Name) !== handleKey(kind, name));
      const { Data, ...shown } = structuredClone(desired ?? {}) as { Data?: string };
      const kept = kind === 'secret' ? shown : { ...shown, ...(Data === undefined ? {} : { Data }) };
      (result as unknown as Record<string, unknown>)[lists[kind]] = verdict === 'remove' ? others : [...others, kept];
    }
  }
  return result;
}

const names = (prefix: string) => fc.uniqueArray(fc.nat({ max: 3 }).map((number) => `${prefix}${number}`));
const labels = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2'));

/** Clusters that have much in common, so that each of two has things that the other has not, or has otherwise. */
export const clusters: fc.Arbitrary<ClusterObjects> = fc
  .tuple(names('n'), names('net'), names('s'), names('c'), names('web'), fc.infiniteStream(labels))
  .chain(([nodes, networks, secrets, configs, services, some]) => {
    const next = (): Record<string, string> => some.next().value;
    const choice = <T>(...of: T[]) => fc.constantFrom(...of);
    const one = fc.record({
      limit: choice(undefined, 3, 5),
      role: choice('worker' as const, 'manager' as const),
      availability: choice('active' as const, 'drain' as const),
      driver: choice('overlay', 'bridge'),
      data: choice('QQ==', 'Qg=='),
      replicas: choice(0, 1, 2),
      global: fc.boolean(),
      constraint: choice('node.id==n1-id', 'node.hostname!=n2', 'node.role==worker'),
    });
    return one.map((pick) => ({
      cluster: pick.limit === undefined ? {} : { Orchestration: { TaskHistoryRetentionLimit: pick.limit } },
      nodes: nodes.map((Hostname) => ({
        Hostname,
        ID: `${Hostname}-id`,
        Role: pick.role,
        Availability: pick.availability,
        Labels: next(),
      })),
      networks: networks.map((Name) => ({ Name, Driver: pick.driver, Labels: next() })),
      secrets: secrets.map((Name) => ({ Name, Labels: next() })),
      configs: configs.map((Name) => ({ Name, Data: pick.data, Labels: next() })),
      services: services.map((name) =>
        service(
          name,
          { networks: networks.slice(0, 1), secrets: secrets.slice(0, 1), configs, constraints: [pick.constraint] },
          { Mode: pick.global ? { Global: {} } : { Replicated: { Replicas: pick.replicas } }, Labels: next() },
        ),
      ),
    }));
  });
