import type { ServiceSpec } from '@swarmd/model';

/** Names of what services refer to, by ID. */
export interface NamesById {
  readonly networks: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, string>;
  readonly configs: ReadonlyMap<string, string>;
}

/**
 * A canonical spec with names where it had IDs of its cluster; what has no name keeps its ID. The IDs of secrets and
 * configs are left empty: their names stand beside them.
 */
export function withNames(spec: ServiceSpec, names: NamesById): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  const container = task.ContainerSpec;
  const { CredentialSpec } = (container?.Privileges ?? {}) as { CredentialSpec?: { Config?: string } | null };
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ...(container === undefined
        ? {}
        : {
            ContainerSpec: {
              ...container,
              ...(container.Secrets == null
                ? {}
                : { Secrets: container.Secrets.map((use) => ({ ...use, SecretID: '' })) }),
              ...(container.Configs == null
                ? {}
                : { Configs: container.Configs.map((use) => ({ ...use, ConfigID: '' })) }),
              ...(CredentialSpec?.Config
                ? {
                    Privileges: {
                      ...container.Privileges,
                      CredentialSpec: {
                        ...CredentialSpec,
                        Config: names.configs.get(CredentialSpec.Config) ?? CredentialSpec.Config,
                      },
                    },
                  }
                : {}),
            },
          }),
      ...(task.Networks == null
        ? {}
        : {
            Networks: task.Networks.map((use) => ({
              ...use,
              ...(use.Target === undefined ? {} : { Target: names.networks.get(use.Target) ?? use.Target }),
            })),
          }),
    },
  };
}

/** What a spec with names needs to be there before it can be made. */
export function referencesOf(spec: ServiceSpec): Record<'network' | 'secret' | 'config', string[]> {
  const { ContainerSpec: container, Networks } = spec.TaskTemplate ?? {};
  const unique = (names: readonly string[]): string[] => [...new Set(names)];
  return {
    network: unique((Networks ?? []).flatMap(({ Target }) => Target ?? [])),
    secret: unique((container?.Secrets ?? []).map(({ SecretName }) => SecretName)),
    config: unique((container?.Configs ?? []).map(({ ConfigName }) => ConfigName)),
  };
}

const NODE_CONSTRAINT = /^(\s*node\.(id|hostname)\s*[!=]=\s*)(\S+)\s*$/i;

/**
 * A spec whose constraints on `node.id` and `node.hostname` are replaced as `rename` says; undefined leaves one as it
 * is. Values of other constraints stay.
 */
export function withNodeConstraints(
  spec: ServiceSpec,
  rename: (attribute: 'id' | 'hostname', value: string) => string | undefined,
): ServiceSpec {
  const { Placement } = spec.TaskTemplate ?? {};
  const constraints = Placement?.Constraints;
  if (constraints == null) return spec;
  const Constraints = constraints.map((constraint) => {
    const match = NODE_CONSTRAINT.exec(constraint);
    if (match === null) return constraint;
    const renamed = rename(match[2]!.toLowerCase() as 'id' | 'hostname', match[3]!);
    return renamed === undefined ? constraint : `${match[1]}${renamed}`;
  });
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Placement: { ...Placement, Constraints } } };
}
