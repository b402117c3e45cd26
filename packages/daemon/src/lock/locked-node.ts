import { join } from 'node:path';
import { createAgent } from '@swarmd/agent';
import { type ClusterSpec, type InitRequest, isErrorCode, type LocalNodeInfo, SwarmdError } from '@swarmd/model';
import { createUnlockKey, parseUnlockKey, type UnlockKey, type Vault } from '@swarmd/store';
import { readCertificate } from '@swarmd/wire';
import type { DaemonConfig } from '../config.js';
import type { Member } from '../member-file.js';
import { nodeNetworks } from '../network-process.js';
import type { NodePorts } from '../node-ports.js';
import { dataPathAddress } from '../own-address.js';
import { identityDir, openVault } from './secret-files.js';

/** A node whose secrets wait for the unlock key: nothing of it runs. */
export interface LockedNode {
  nodeId: string;
  clusterId: string;
  member: Member;
  /** As `/info` shows it. */
  info: LocalNodeInfo;
}

const LOCKED =
  'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.';
const LEAVES = 'Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.';

/** The node as far as it can be known, when its secrets do not open without a key; `undefined` when they do. */
export async function readLocked(dataDir: string, member: Member): Promise<LockedNode | undefined> {
  try {
    await openVault(dataDir);
    return undefined;
  } catch (error) {
    if (!isErrorCode(error, 'locked')) throw error;
  }
  const certificate = await readCertificate(identityDir(dataDir));
  if (certificate === undefined) return undefined;
  const { nodeId, clusterId } = certificate;
  return {
    nodeId,
    clusterId,
    member,
    info: {
      NodeID: '',
      NodeAddr: member.advertiseAddr.replace(/:\d+$/, ''),
      LocalNodeState: 'locked',
      ControlAvailable: false,
      Error: LOCKED,
      RemoteManagers: null,
    },
  };
}

/** The vault, opened with the key that a user gave. Errors as `Membership.unlock`. */
export async function openWithKey(dataDir: string, text: string): Promise<Vault> {
  const key = parseUnlockKey(text);
  try {
    return await openVault(dataDir, key);
  } catch (error) {
    if (!isErrorCode(error, 'locked')) throw error;
    throw new SwarmdError('unauthenticated', 'swarm could not be unlocked: invalid key provided', { cause: error });
  }
}

/** A new unlock key for a cluster that is to lock its managers; `undefined` for one that is not. */
export function newUnlockKey({ AutoLockManagers, Spec }: InitRequest): UnlockKey | undefined {
  const wanted = AutoLockManagers === true || Spec?.EncryptionConfig?.AutoLockManagers === true;
  return wanted ? parseUnlockKey(createUnlockKey()) : undefined;
}

/** The part of bootstrap's options that says what the cluster is to be like, and whether its managers are locked. */
export function lockedSpec(Spec: ClusterSpec | undefined, key: UnlockKey | undefined) {
  if (key === undefined) return Spec ? { spec: Spec } : {};
  const spec = { ...Spec, EncryptionConfig: { ...Spec?.EncryptionConfig, AutoLockManagers: true } };
  return { spec, unlockKey: key.text };
}

/** A locked node leaves, by force only: what the cluster runs on this host is removed; no manager can be told. */
export async function lockedLeaves(
  { config, ports, version }: { config: DaemonConfig; ports: NodePorts; version: string },
  { nodeId, clusterId, member }: LockedNode,
  force: boolean,
): Promise<void> {
  if (!force) throw new SwarmdError('unavailable', LEAVES);
  const agent = createAgent({
    ...ports,
    engineSocket: config.engineSocket,
    stateDir: join(config.dataDir, 'agent'),
    runDir: join(config.runDir, 'payloads'),
    connect: () => {
      throw new SwarmdError('locked', 'this node is locked');
    },
    managers: () => [],
    nodeId,
    clusterId,
    swarmdVersion: version,
    advertiseAddr: member.advertiseAddr.replace(/:\d+$/, ''),
    nodeNetworks: nodeNetworks(config),
    dataPathAddr: dataPathAddress(member),
  });
  try {
    await agent.start();
    await agent.leave();
  } catch (error) {
    ports.logger.warn({ err: error }, 'left by force: containers of the cluster may remain on this engine');
  }
}
