import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { followService } from '../../progress/follow.js';
import { registryAuthFor } from '../../registry/credentials.js';
import { withDefaultTag } from '../../text/image-reference.js';
import { printWarnings, WRITE_FLAGS } from './common.js';
import { pinImage } from './images.js';
import { lookUpInputs } from './references.js';
import { editSpec, initialSpec, specFlags } from './spec/edits.js';

/** `service create`. */
export const serviceCreate: Command = command({
  name: 'create',
  summary: 'Create a new service',
  synopsis: 'IMAGE [COMMAND] [ARG...]',
  arity: { min: 1 },
  interspersed: false,
  flags: { ...specFlags('create'), ...WRITE_FLAGS },
  async run(context, invocation) {
    const { client } = context;
    const { detach, quiet, 'no-resolve-image': noResolve, 'with-registry-auth': withAuth } = invocation.flags;
    const [image = '', ...args] = invocation.args;
    if (image === '') throw new CommandError('an image is required');
    const inputs = await lookUpInputs(context, invocation);
    let spec = editSpec(initialSpec(withDefaultTag(image), args), invocation, inputs);
    let warning: string | undefined;
    const auth = withAuth ? await registryAuthFor(image, context.env) : undefined;
    if (!noResolve) {
      const pinned = await pinImage(client, spec, auth);
      spec = pinned.spec;
      warning = pinned.warning;
    }
    const { ID, Warnings } = await client.post<{ ID: string; Warnings?: string[] | null }>('/services/create', {
      body: spec,
      headers: auth === undefined ? {} : { 'X-Registry-Auth': auth },
    });
    printWarnings(context, [...(Warnings ?? []), ...(warning === undefined ? [] : [warning])]);
    context.out.write(`${ID}\n`);
    return detach ? 0 : followService(context, ID, { quiet });
  },
});
