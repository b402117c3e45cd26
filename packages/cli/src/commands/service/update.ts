import type { ServiceSpec } from '@swarmd/model';
import type { ApiService } from '../../client/api-types.js';
import { objectPath } from '../../client/client.js';
import { getService } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool } from '../../program/flag-types.js';
import { followService } from '../../progress/follow.js';
import { registryAuthFor } from '../../registry/credentials.js';
import { withDefaultTag } from '../../text/image-reference.js';
import { detachFlag, printWarnings, quietProgressFlag, WRITE_FLAGS } from './common.js';
import { pinImage } from './images.js';
import { lookUpInputs } from './references.js';
import { editSpec, specFlags } from './spec/edits.js';

/** How an update is sent. */
interface UpdateRequest {
  rollback?: boolean;
  registryAuth?: string;
}

/** Sends a service's spec back, changed, against the version that was read; prints the daemon's warnings. */
export async function postUpdate(
  context: CommandContext,
  service: Pick<ApiService, 'ID' | 'Version'>,
  spec: ServiceSpec,
  { rollback = false, registryAuth }: UpdateRequest = {},
): Promise<void> {
  const answer = await context.client.post<{ Warnings?: string[] | null } | undefined>(
    objectPath('services', service.ID, 'update'),
    {
      query: {
        version: service.Version.Index,
        registryAuthFrom: registryAuth === undefined ? 'spec' : undefined,
        rollback: rollback ? 'previous' : undefined,
      },
      headers: registryAuth === undefined ? {} : { 'X-Registry-Auth': registryAuth },
      body: spec,
    },
  );
  printWarnings(context, answer?.Warnings);
}

/** `service update`. */
export const serviceUpdate: Command = command({
  name: 'update',
  summary: 'Update a service',
  synopsis: 'SERVICE',
  arity: 1,
  argument: 'service',
  flags: { ...specFlags('update'), ...WRITE_FLAGS, rollback: bool('Rollback to previous specification') },
  async run(context, invocation) {
    const { flags, given, args } = invocation;
    const ref = args[0]!;
    const service = await getService(context.client, ref);
    if (flags.rollback && [...given].some((name) => !['rollback', 'detach', 'quiet'].includes(name))) {
      throw new CommandError('other flags may not be combined with --rollback');
    }
    let spec = editSpec(service.Spec, invocation, await lookUpInputs(context, invocation));
    const image = spec.TaskTemplate?.ContainerSpec?.Image ?? '';
    const registryAuth = flags['with-registry-auth'] ? await registryAuthFor(image, context.env) : undefined;
    let warning: string | undefined;
    if (given.has('image')) {
      spec = withImage(spec, withDefaultTag(image));
      if (!flags['no-resolve-image']) {
        const pinned = await pinImage(context.client, spec, registryAuth);
        spec = pinned.spec;
        warning = pinned.warning;
      }
    }
    await postUpdate(context, service, spec, {
      rollback: flags.rollback,
      ...(registryAuth === undefined ? {} : { registryAuth }),
    });
    if (warning !== undefined) printWarnings(context, [warning]);
    context.out.write(`${ref}\n`);
    return flags.detach
      ? 0
      : followService(context, service.ID, {
          quiet: flags.quiet,
          rollback: flags.rollback,
          staleUpdate: service.UpdateStatus?.StartedAt,
        });
  },
});

function withImage(spec: ServiceSpec, Image: string): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  return { ...spec, TaskTemplate: { ...task, ContainerSpec: { ...task.ContainerSpec, Image } } };
}

/** `service rollback`. */
export const serviceRollback: Command = command({
  name: 'rollback',
  summary: "Revert changes to a service's configuration",
  synopsis: 'SERVICE',
  arity: 1,
  argument: 'service',
  flags: { detach: detachFlag, quiet: quietProgressFlag },
  async run(context, { flags, args }) {
    const service = await getService(context.client, args[0]!);
    await postUpdate(context, service, service.Spec, { rollback: true });
    context.out.write(`${args[0]}\n`);
    return flags.detach
      ? 0
      : followService(context, service.ID, {
          quiet: flags.quiet,
          rollback: true,
          staleUpdate: service.UpdateStatus?.StartedAt,
        });
  },
});
