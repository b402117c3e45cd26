import type { ApiNetwork, ApiService } from '../../client/api-types.js';
import { type Client, objectPath } from '../../client/client.js';
import { isNotFound } from '../../client/errors.js';
import { inspectFormatFlag } from '../../output/list.js';
import { inspect, prettyFlag } from '../../output/pretty.js';
import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { describeService } from './describe.js';

/** `service inspect`. */
export const serviceInspect: Command = command({
  name: 'inspect',
  summary: 'Display detailed information on one or more services',
  synopsis: 'SERVICE [SERVICE...]',
  arity: { min: 1 },
  argument: 'service',
  flags: { format: inspectFormatFlag, pretty: prettyFlag },
  async run(context, { flags, args }) {
    const { client } = context;
    const find = async (ref: string): Promise<ApiService> => {
      try {
        return await client.get<ApiService>(objectPath('services', ref), { query: { insertDefaults: true } });
      } catch (thrown) {
        throw isNotFound(thrown) ? new CommandError(`Error: no such service: ${ref}`) : thrown;
      }
    };
    const describe = async (service: ApiService): Promise<string> =>
      describeService(service, await networkNames(client, service), context.now());
    await inspect(context, args, flags, find, describe);
  },
});

async function networkNames(client: Client, { Spec }: ApiService): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const { Target = '' } of Spec.TaskTemplate?.Networks ?? []) {
    try {
      const network = await client.get<ApiNetwork>(objectPath('networks', Target), { query: { scope: 'swarm' } });
      names.set(Target, network.Name);
    } catch (thrown) {
      if (!isNotFound(thrown)) throw thrown;
    }
  }
  return names;
}
