import { objectPath } from '../../client/client.js';
import { forEachRef } from '../../output/each.js';
import { type Command, command } from '../../program/command.js';

/** `service rm`. */
export const serviceRm: Command = command({
  name: 'rm',
  aliases: ['remove'],
  summary: 'Remove one or more services',
  synopsis: 'SERVICE [SERVICE...]',
  arity: { min: 1 },
  argument: 'service',
  async run(context, { args }) {
    await forEachRef(context, args, async (ref) => {
      await context.client.delete(objectPath('services', ref));
      return ref;
    });
  },
});
