import type { ApiService } from '../../client/api-types.js';
import { getService } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { followService } from '../../progress/follow.js';
import { detachFlag } from './common.js';
import { postUpdate } from './update.js';

/** `service scale`. */
export const serviceScale: Command = command({
  name: 'scale',
  summary: 'Scale one or multiple replicated services',
  synopsis: 'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
  arity: { min: 1 },
  argument: 'service',
  flags: { detach: detachFlag },
  async run(context, { flags, args }) {
    const failures: string[] = [];
    const scaled: ApiService[] = [];
    for (const [name, replicas] of args.map(parseTarget)) {
      try {
        scaled.push(await scale(context, name, replicas));
        context.out.write(`${name} scaled to ${replicas}\n`);
      } catch (thrown) {
        if (!(thrown instanceof CommandError)) throw thrown;
        failures.push(`${name}: ${thrown.message}`);
      }
    }
    let exitCode = 0;
    if (!flags.detach) {
      for (const { ID, UpdateStatus } of scaled) {
        const code = await followService(context, ID, { quiet: false, staleUpdate: UpdateStatus?.StartedAt });
        exitCode = Math.max(exitCode, code);
      }
    }
    if (failures.length > 0) throw new CommandError(failures.join('\n'));
    return exitCode;
  },
});

function parseTarget(target: string): [name: string, replicas: number] {
  const at = target.lastIndexOf('=');
  if (at <= 0) throw new CommandError(`invalid scale specifier '${target}'.\nSee 'swarmctl service scale --help'.`);
  const replicas = target.slice(at + 1);
  if (!/^\d+$/.test(replicas))
    throw new CommandError(
      `${target.slice(0, at)}: invalid replicas value ${replicas}: strconv.ParseUint: parsing ${JSON.stringify(replicas)}: invalid syntax`,
    );
  return [target.slice(0, at), Number(replicas)];
}

async function scale(context: CommandContext, ref: string, replicas: number): Promise<ApiService> {
  const service = await getService(context.client, ref);
  const { Replicated, ReplicatedJob } = service.Spec.Mode ?? {};
  if (Replicated == null && ReplicatedJob == null) {
    throw new CommandError('scale can only be used with replicated or replicated-job mode');
  }
  const Mode =
    Replicated == null
      ? { ReplicatedJob: { ...ReplicatedJob, TotalCompletions: replicas } }
      : { Replicated: { ...Replicated, Replicas: replicas } };
  await postUpdate(context, service, { ...service.Spec, Mode });
  return service;
}
