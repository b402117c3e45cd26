import { STACK_IMAGE_LABEL, type Stack } from '@swarmd/compose';
import type { ServiceSpec } from '@swarmd/model';
import type { ApiService } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import { getService, listServices, ofStack } from '../../client/resources.js';
import type { CommandContext } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import type { Expectation } from '../../progress/verdict.js';
import { registryAuthFor } from '../../registry/credentials.js';
import { printWarnings } from '../service/common.js';
import { pinImage } from '../service/images.js';
import { failingAs } from './deploy-objects.js';

/** When a registry is asked for an image's digest. */
export const RESOLVE_MODES = ['always', 'changed', 'never'] as const;

/** How services are deployed; `secrets` and `configs` are IDs by name. */
export interface DeployOptions {
  resolveImage: (typeof RESOLVE_MODES)[number];
  withAuth: boolean;
  secrets: ReadonlyMap<string, string>;
  configs: ReadonlyMap<string, string>;
}

/** Creates and updates the stack's services. What to expect of each, by ID. */
export async function deployServices(
  context: CommandContext,
  stack: Stack,
  options: DeployOptions,
): Promise<Map<string, Expectation>> {
  const { client, out } = context;
  const existing = new Map(
    (await listServices(client, ofStack(stack.namespace))).map((found) => [found.Spec.Name, found]),
  );
  const expectations = new Map<string, Expectation>();
  for (const converted of stack.services) {
    const name = converted.Name ?? '';
    const current = existing.get(name);
    const named = withDataIds(converted, options);
    const image = named.TaskTemplate?.ContainerSpec?.Image ?? '';
    const auth = options.withAuth ? await registryAuthFor(image, context.env) : undefined;
    const headers: Record<string, string> = auth === undefined ? {} : { 'X-Registry-Auth': auth };
    const spec = await resolveImage(context, named, current, options.resolveImage, auth);
    if (current === undefined) {
      out.write(`Creating service ${name}\n`);
      const { ID, Warnings } = await failingAs(`failed to create service ${name}`, () =>
        client.post<{ ID: string; Warnings?: string[] | null }>('/services/create', { body: spec, headers }),
      );
      printWarnings(context, Warnings);
      expectations.set(ID, {});
      continue;
    }
    const answer = await failingAs(`failed to update service ${name}`, () =>
      client.post<{ Warnings?: string[] | null } | undefined>(objectPath('services', current.ID, 'update'), {
        query: { version: current.Version.Index, registryAuthFrom: auth === undefined ? 'spec' : undefined },
        body: spec,
        headers,
      }),
    );
    printWarnings(context, answer?.Warnings);
    // The manager compares specs in their canonical form: its version moves only if something changed.
    const changed = (await getService(client, current.ID)).Version.Index !== current.Version.Index;
    out.write(changed ? `Updating service ${name} (id: ${current.ID})\n` : `Service ${name} is unchanged\n`);
    expectations.set(current.ID, { staleUpdate: current.UpdateStatus?.StartedAt, immediate: !changed });
  }
  return expectations;
}

/** IDs by name. */
export interface IdLookup {
  get(name: string): string | undefined;
}

/** The spec with IDs of secrets and configs filled in. Throws CommandError for one that does not exist. */
export function withDataIds(
  spec: ServiceSpec,
  { secrets, configs }: { secrets: IdLookup; configs: IdLookup },
): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  const container = task.ContainerSpec ?? {};
  const id = (ids: IdLookup, kind: string, name: string): string => {
    const found = ids.get(name);
    if (found === undefined) throw new CommandError(`${kind} not found: ${name}`);
    return found;
  };
  const credentials = container.Privileges?.['CredentialSpec'] as { Config?: string } | null | undefined;
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ContainerSpec: {
        ...container,
        ...(container.Secrets == null
          ? {}
          : {
              Secrets: container.Secrets.map((use) => ({ ...use, SecretID: id(secrets, 'secret', use.SecretName) })),
            }),
        ...(container.Configs == null
          ? {}
          : {
              Configs: container.Configs.map((use) => ({ ...use, ConfigID: id(configs, 'config', use.ConfigName) })),
            }),
        ...(credentials?.Config
          ? {
              Privileges: {
                ...container.Privileges,
                CredentialSpec: { ...credentials, Config: id(configs, 'config', credentials.Config) },
              },
            }
          : {}),
      },
    },
  };
}

/** The spec with its image pinned, or with what the service already runs where that is the same image. */
async function resolveImage(
  context: CommandContext,
  spec: ServiceSpec,
  current: ApiService | undefined,
  mode: DeployOptions['resolveImage'],
  auth: string | undefined,
): Promise<ServiceSpec> {
  const isSameImage = current?.Spec.Labels?.[STACK_IMAGE_LABEL] === spec.Labels?.[STACK_IMAGE_LABEL];
  const kept = current !== undefined && isSameImage ? withImageOf(spec, current.Spec) : undefined;
  const counted = withForceUpdate(kept ?? spec, current);
  if (mode === 'never' || (mode === 'changed' && kept !== undefined)) return counted;
  const { spec: pinned, warning } = await pinImage(context.client, withForceUpdate(spec, current), auth);
  if (warning === undefined) return pinned;
  // With the registry away, the digest that runs now is better than none: the service stays as it is.
  if (kept === undefined) printWarnings(context, [warning]);
  return counted;
}

function withImageOf(spec: ServiceSpec, current: ServiceSpec): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  const Image = current.TaskTemplate?.ContainerSpec?.Image;
  const Platforms = task.Placement?.Platforms ?? current.TaskTemplate?.Placement?.Platforms;
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ContainerSpec: { ...task.ContainerSpec, ...(Image === undefined ? {} : { Image }) },
      ...(Platforms == null ? {} : { Placement: { ...task.Placement, Platforms } }),
    },
  };
}

/** `ForceUpdate` is no part of a Compose file: it stays, or every deploy would replace the tasks. */
function withForceUpdate(spec: ServiceSpec, current: ApiService | undefined): ServiceSpec {
  const ForceUpdate = current?.Spec.TaskTemplate?.ForceUpdate ?? 0;
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate } };
}
