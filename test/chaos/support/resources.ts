import type { Dice } from './dice.js';

/** One named object of the API that clients read and change, told apart by a text in its labels. */
export interface Resource {
  /** Its name in histories: `config/c3`. */
  readonly key: string;
  /** What reads answer with; two ways, since lists have code of their own. */
  readonly reads: readonly string[];
  /** Path and body that create it; undefined for what is always there. */
  create?(value: string): { path: string; body: object };
  /** Path and body that change it. */
  update(seen: Seen, value: string, dice: Dice): { path: string; body: object };
  /** Path that removes it. */
  remove?(seen: Seen): string;
}

/** An object as a client has read it. */
export interface Seen {
  id: string;
  version: number;
  value: string;
  spec: Spec;
}

/** The parts of all specs that this reads. */
export interface Spec {
  Name?: string;
  Labels?: Record<string, string>;
  Mode?: { Replicated?: { Replicas: number }; Global?: object };
  TaskTemplate?: { ContainerSpec: Record<string, unknown>; [field: string]: unknown };
  [field: string]: unknown;
}

const LABEL = 'chaos';

/** Reads an answer: one object, or a list with at most one of that name. Undefined where there is none. */
export function parseSeen(body: string, name: string): Seen | undefined {
  const parsed = JSON.parse(body) as unknown;
  type Item = { ID: string; Version: { Index: number }; Spec: Spec };
  const items = (Array.isArray(parsed) ? parsed : [parsed]) as Item[];
  // Filters by name take every name that begins so.
  const found = Array.isArray(parsed) ? items.filter(({ Spec }) => Spec.Name === name) : items;
  const [item] = found;
  if (item === undefined) return undefined;
  if (found.length > 1) throw new Error(`${found.length} objects are called ${name}: ${body}`);
  const { ID, Version, Spec: spec } = item;
  return { id: ID, version: Version.Index, value: spec.Labels?.[LABEL] ?? '', spec };
}

/** The last part of a key: the object's name. */
export function nameOf({ key }: Resource): string {
  return key.slice(key.indexOf('/') + 1);
}

/** A config or a secret. */
export function blob(kind: 'config' | 'secret', name: string): Resource {
  const folder = `/${kind}s`;
  return {
    key: `${kind}/${name}`,
    reads: [`${folder}/${name}`, `${folder}?${byName(name)}`],
    create: (value) => ({
      path: `${folder}/create`,
      body: { Name: name, Labels: { [LABEL]: value }, Data: Buffer.from(name).toString('base64') },
    }),
    update: ({ id, version, spec }, value) => ({
      path: `${folder}/${id}/update?version=${version}`,
      body: { ...spec, Labels: { [LABEL]: value } },
    }),
    remove: ({ id }) => `${folder}/${id}`,
  };
}

/** A service without tasks. */
export function idleService(name: string): Resource {
  return {
    ...runningService(name, {}),
    create: (value) => ({ path: '/services/create', body: serviceSpec(name, value, 0) }),
    update: ({ id, version, spec }, value) => ({
      path: `/services/${id}/update?version=${version}`,
      body: { ...spec, Labels: { [LABEL]: value } },
    }),
    remove: ({ id }) => `/services/${id}`,
  };
}

/** Most replicas that a service with containers gets. */
const MAX_REPLICAS = 5;

/** A service with containers: each change scales it or replaces them all; `over` goes into its spec. */
export function runningService(name: string, over: Partial<Spec>): Resource {
  return {
    key: `service/${name}`,
    reads: [`/services/${name}`, `/services?${byName(name)}`],
    create: (value) => ({ path: '/services/create', body: { ...serviceSpec(name, value, 3), ...over } }),
    update: ({ id, version, spec }, value, dice) => {
      const scaled = spec.Mode?.Replicated !== undefined && dice.chance(0.5);
      const { ContainerSpec, ...template } = spec.TaskTemplate!;
      const body = {
        ...spec,
        Labels: { [LABEL]: value },
        ...(scaled
          ? { Mode: { Replicated: { Replicas: dice.int(1, MAX_REPLICAS) } } }
          : { TaskTemplate: { ...template, ContainerSpec: { ...ContainerSpec, Env: [`VALUE=${value}`] } } }),
      };
      return { path: `/services/${id}/update?version=${version}`, body };
    },
  };
}

/** A node's labels. */
export function nodeLabels(id: string): Resource {
  return {
    key: `node/${id}`,
    reads: [`/nodes/${id}`],
    update: ({ version, spec }, value) => ({
      path: `/nodes/${id}/update?version=${version}`,
      body: { ...spec, Labels: { [LABEL]: value } },
    }),
  };
}

function serviceSpec(name: string, value: string, replicas: number): Spec {
  return {
    Name: name,
    Labels: { [LABEL]: value },
    TaskTemplate: {
      ContainerSpec: {
        Image: 'busybox:latest',
        Args: ['sh', '-c', "trap 'exit 0' TERM; sleep 86400 & wait"],
        StopGracePeriod: 1e9,
      },
      RestartPolicy: { Condition: 'any', Delay: 1e8 },
    },
    Mode: { Replicated: { Replicas: replicas } },
    UpdateConfig: { Parallelism: 1, Order: 'stop-first', FailureAction: 'continue' },
  };
}

function byName(name: string): string {
  return new URLSearchParams({ filters: JSON.stringify({ name: [name] }) }).toString();
}
