import type { ClusterSpec } from '@swarmd/model';
import type { ApiCluster } from '../../client/api-types.js';
import { getCluster, getInfo, getNode, getUnlockKey } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool, strings, text, uint } from '../../program/flag-types.js';
import { CLUSTER_FLAGS, editClusterSpec } from './cluster-flags.js';
import { unlockAdvice } from './unlock-advice.js';
import { postClusterUpdate } from './update.js';

const AVAILABILITIES = ['active', 'pause', 'drain'] as const;

const ADDRESS_FLAGS = {
  'listen-addr': text('Listen address (format: "<ip|interface>[:port]")', {
    typeName: 'node-addr',
    defaultText: '0.0.0.0:2377',
  }),
  'advertise-addr': text('Advertised address (format: "<ip|interface>[:port]")'),
  'data-path-addr': text('Address or interface to use for data path traffic (format: "<ip|interface>")'),
  availability: text('Availability of the node ("active", "pause", "drain")', {
    defaultText: '"active"',
    words: AVAILABILITIES,
  }),
};

/** An availability in the API's spelling. Throws CommandError for any other word. */
export function checkAvailability(value: string): (typeof AVAILABILITIES)[number] {
  const found = AVAILABILITIES.find((word) => word === value.toLowerCase());
  if (found === undefined) {
    throw new CommandError(`invalid availability ${JSON.stringify(value)}, only active, pause and drain are supported`);
  }
  return found;
}

/** The first cluster of a node: an empty spec, in which the manager fills in defaults. */
const NEW_CLUSTER: ClusterSpec = {
  Labels: null,
  Orchestration: {},
  Raft: { ElectionTick: 0, HeartbeatTick: 0 },
  Dispatcher: {},
  CAConfig: {},
  TaskDefaults: {},
  EncryptionConfig: { AutoLockManagers: false },
};

function addresses(flags: Readonly<Record<keyof typeof ADDRESS_FLAGS, string | undefined>>): Record<string, string> {
  const listen = flags['listen-addr'];
  return {
    // Left out, the address in the daemon's own configuration counts.
    ...(listen === undefined ? {} : { ListenAddr: /:\d+$/.test(listen) ? listen : `${listen}:2377` }),
    AdvertiseAddr: flags['advertise-addr'] ?? '',
    DataPathAddr: flags['data-path-addr'] ?? '',
    Availability: flags.availability === undefined ? '' : checkAvailability(flags.availability),
  };
}

/** `init`. */
export const swarmInit: Command = command({
  name: 'init',
  summary: 'Initialize a swarm',
  flags: {
    ...ADDRESS_FLAGS,
    ...CLUSTER_FLAGS,
    autolock: bool('Enable manager autolocking (requiring an unlock key to start a stopped manager)'),
    'data-path-port': uint(
      'Port number to use for data path traffic (1024 - 49151). If no value is set or is set to 0, the default port (4789) is used.',
      { typeName: 'uint32' },
    ),
    'default-addr-pool': strings('default address pool in CIDR format', { typeName: 'ipNetSlice', defaultText: '[]' }),
    'default-addr-pool-mask-length': uint('default address pool subnet mask length', {
      typeName: 'uint32',
      defaultText: '24',
    }),
    'force-new-cluster': bool('Force create a new cluster from current state'),
  },
  async run(context, invocation) {
    const { flags } = invocation;
    const nodeId = await context.client.post<string>('/swarm/init', {
      body: {
        ...addresses(flags),
        DataPathPort: flags['data-path-port'] ?? 0,
        DefaultAddrPool: flags['default-addr-pool'],
        SubnetSize: flags['default-addr-pool-mask-length'] ?? 24,
        ForceNewCluster: flags['force-new-cluster'],
        AutoLockManagers: flags.autolock,
        Spec: editClusterSpec(NEW_CLUSTER, invocation),
      },
    });
    context.out.write(`Swarm initialized: current node (${nodeId}) is now a manager.\n\n`);
    await printJoinCommand(context, nodeId, 'worker');
    context.out.write(
      "To add a manager to this swarm, run 'swarmctl join-token manager' and follow the instructions.\n",
    );
    if (flags.autolock) context.out.write(unlockAdvice(await getUnlockKey(context.client)));
  },
});

/** `join`. */
export const swarmJoin: Command = command({
  name: 'join',
  summary: 'Join a swarm as a node and/or manager',
  synopsis: 'HOST:PORT',
  arity: 1,
  flags: { ...ADDRESS_FLAGS, token: text('Token for entry into the swarm') },
  async run(context, { flags, args }) {
    await context.client.post('/swarm/join', {
      body: { ...addresses(flags), JoinToken: flags.token ?? '', RemoteAddrs: [args[0]] },
    });
    const { Swarm } = await getInfo(context.client);
    const role = Swarm.ControlAvailable === true ? 'manager' : 'worker';
    context.out.write(`This node joined a swarm as a ${role}.\n`);
  },
});

/** `leave`. */
export const swarmLeave: Command = command({
  name: 'leave',
  summary: 'Leave the swarm',
  flags: { force: bool('Force this node to leave the swarm, ignoring warnings', { short: 'f' }) },
  async run(context, { flags }) {
    await context.client.post('/swarm/leave', { query: { force: flags.force ? 1 : undefined } });
    context.out.write('Node left the swarm.\n');
  },
});

type Role = 'worker' | 'manager';

function tokenFor(cluster: ApiCluster, role: Role): string {
  const tokens = cluster.JoinTokens;
  return (role === 'worker' ? tokens?.Worker : tokens?.Manager) ?? '';
}

async function printJoinCommand(context: CommandContext, nodeId: string, role: Role): Promise<void> {
  const node = await getNode(context.client, nodeId);
  if (node.ManagerStatus === undefined) return;
  const token = tokenFor(await getCluster(context.client), role);
  context.out.write(
    `To add a ${role} to this swarm, run the following command:\n\n` +
      `    swarmctl join --token ${token} ${node.ManagerStatus.Addr}\n\n`,
  );
}

/** `join-token`. */
export const swarmJoinToken: Command = command({
  name: 'join-token',
  summary: 'Manage join tokens',
  synopsis: '(worker|manager)',
  arity: 1,
  argument: ['worker', 'manager'],
  flags: {
    quiet: bool('Only display token', { short: 'q' }),
    rotate: bool('Rotate join token'),
  },
  async run(context, { flags, args }) {
    const role = args[0];
    if (role !== 'worker' && role !== 'manager') throw new CommandError(`unknown role ${role}`);
    if (flags.rotate) {
      const cluster = await getCluster(context.client);
      await postClusterUpdate(context.client, cluster, cluster.Spec, {
        [role === 'worker' ? 'rotateWorkerToken' : 'rotateManagerToken']: true,
      });
      if (!flags.quiet) context.out.write(`Successfully rotated ${role} join token.\n\n`);
    }
    if (flags.quiet) {
      context.out.write(`${tokenFor(await getCluster(context.client), role)}\n`);
      return;
    }
    // A daemon that is no manager says so here, in its own words.
    await getCluster(context.client);
    const { Swarm } = await getInfo(context.client);
    await printJoinCommand(context, Swarm.NodeID ?? '', role);
  },
});
