import { BlockList, isIP } from 'node:net';
import {
  type ForeignAttachment,
  ForeignAttachmentSchema,
  type Network,
  type NodeDataPath,
  NodeDataPathSchema,
  SwarmdError,
} from '@swarmd/model';
import type { DataPath } from '@swarmd/wire';

/** The most bytes of JSON that a node's report of containers may take. */
const MAX_BYTES = 256 << 10;
/** Containers besides tasks on the cluster's networks of one node; each takes a part of every node's tables. */
const MAX_ATTACHMENTS = 1_000;

/** How a node says that it takes part in overlays; `undefined` when it does not. `invalid-argument` when that cannot be. */
export function parseDataPath(dataPath: DataPath | undefined): NodeDataPath | undefined {
  if (dataPath === undefined) return undefined;
  const { addr, mtu, encryption } = dataPath;
  return checkedDataPath({ Addr: addr, MTU: mtu, Encryption: encryption });
}

/** The same in the form that is stored. */
export function checkedDataPath(value: unknown): NodeDataPath {
  const parsed = NodeDataPathSchema.safeParse(value);
  if (!parsed.success) {
    const allowed = 'an IP and an MTU from 576 to 65535 are needed';
    throw invalid('data_path', `the node’s data path cannot be used: ${why(parsed.error)}; ${allowed}`);
  }
  const { Addr, MTU, Encryption } = parsed.data;
  return { Addr, MTU, ...(Encryption ? { Encryption } : {}) };
}

/**
 * The containers in an agent's report, each once per network. `invalid-argument` when it is none, or has more than a node
 * may report.
 */
export function parseAttachments(json: Uint8Array): ForeignAttachment[] {
  if (json.length > MAX_BYTES) throw unusable(`it has more than ${MAX_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(json).toString('utf8'));
  } catch (error) {
    throw unusable((error as Error).message);
  }
  const parsed = ForeignAttachmentSchema.array().max(MAX_ATTACHMENTS).safeParse(value);
  if (!parsed.success) throw unusable(`${why(parsed.error)}; at most ${MAX_ATTACHMENTS} containers are allowed`);
  return [...new Map(parsed.data.map((one) => [`${one.NetworkID} ${one.ContainerID}`, one])).values()];
}

/** Whether a container besides tasks can be on a network like that: it is attachable, and the addresses are its. */
export function isPossible(network: Network | undefined, { Addresses }: ForeignAttachment): boolean {
  if (network?.Spec.Attachable !== true || network.Allocation === undefined) return false;
  const subnets = new BlockList();
  for (const { Subnet } of network.Allocation.Subnets) {
    const [base = '', length = ''] = Subnet.split('/');
    subnets.addSubnet(base, Number(length), family(base));
  }
  return Addresses.every((address) => subnets.check(address, family(address)));
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

function why({ issues }: { issues: readonly { path: PropertyKey[]; message: string }[] }): string {
  return issues.map(({ path, message }) => `${path.join('.')}: ${message}`)[0] ?? 'it has another form';
}

function unusable(problem: string): SwarmdError {
  return invalid('attachments', `the node’s report of containers on networks cannot be used: ${problem}`);
}

function invalid(field: string, message: string): SwarmdError {
  return new SwarmdError('invalid-argument', message, { field });
}
