import { createEtcdKeyAndCsr, type EtcdAdmin, updatePeerUrl } from '@swarmd/etcd';
import { type Clock, type Random, type SharedStore, SwarmdError } from '@swarmd/model';
import type { Vault } from '@swarmd/store';
import { z } from 'zod';
import type { Member } from '../member-file.js';
import { askLeader, type JoinStoreOptions } from './ask-leader.js';
import { memberCertificate } from './etcd-certificate.js';
import type { EtcdHost } from './etcd-host.js';
import { type EtcdMembership, loadEtcdMembership, saveEtcdMembership } from './manager-files.js';
import { memberOperation } from './member-operation.js';
import { peerUrl } from './peer-url.js';

/** The leader is given this long; without an answer the member goes on as it is, and does it by itself. */
const LEADER_TIMEOUT_MS = 5_000;

const MovedSchema = z.object({ certificatePem: z.string() });

/** What a member that has moved to another address asks of the leader. */
export const MoveSchema = z.object({ nodeId: z.string(), peerUrl: z.url(), csrPem: z.string() });

/** The membership at another address: the member is the same. */
function moved(membership: EtcdMembership, nodeId: string, url: string, tls: EtcdMembership['tls']): EtcdMembership {
  const initialCluster = membership.initialCluster.map((member) =>
    member.name === nodeId ? { ...member, peerUrl: url } : member,
  );
  return { ...membership, advertisePeerUrl: url, initialCluster, tls };
}

/**
 * When this host has another address than its etcd member: has the leader tell the members so, before this one starts.
 * Rejects when there is no leader to be reached; then {@link moveOwnMember} is left to do it.
 */
export async function askToMove(options: JoinStoreOptions): Promise<void> {
  const { config, vault, identity, member } = options;
  const membership = await loadEtcdMembership(config.dataDir, vault);
  const url = peerUrl(member.advertiseAddr);
  if (membership === undefined || membership.advertisePeerUrl === url) return;
  const { nodeId } = identity.current;
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const answer = await askLeader(options, 'managers.move', { nodeId, peerUrl: url, csrPem }, LEADER_TIMEOUT_MS);
  const tls = { ...membership.tls, ...MovedSchema.parse(answer), keyPem };
  await saveEtcdMembership(config.dataDir, moved(membership, nodeId, url, tls), vault);
}

/** What {@link moveOwnMember} needs. */
export interface MoveOwnMember {
  config: { dataDir: string };
  nodeId: string;
  member: Member;
  vault: Vault;
  ports: { clock: Clock; random: Random };
  etcd: Pick<EtcdHost, 'members' | 'process'>;
  store: SharedStore;
}

/**
 * When this host has another address than its etcd member: gives the member a certificate for it and tells the others. A
 * member can do so from its new address, as it is the one that calls; it takes a quorum.
 */
export async function moveOwnMember(options: MoveOwnMember): Promise<void> {
  const { config, nodeId, member, vault, ports, etcd, store } = options;
  const membership = await loadEtcdMembership(config.dataDir, vault);
  const url = peerUrl(member.advertiseAddr);
  const { members, process } = etcd;
  if (members === undefined || process === undefined || membership === undefined) return;
  if (membership.advertisePeerUrl === url) return;
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const request = { nodeId, peerUrl: url, csrPem };
  const certificatePem = await memberCertificate(store, request, ports.clock, ports.random);
  const next = moved(membership, nodeId, url, { ...membership.tls, certificatePem, keyPem });
  // The certificate first: from the moment that the others know the address they call it.
  await process.renew(next.tls);
  await tellMembers(members, nodeId, url, ports.clock);
  await saveEtcdMembership(config.dataDir, next, vault);
}

/** Tells etcd's members where the one of `nodeId` is reached now. `not-found` when it is none of them. */
export async function tellMembers(admin: EtcdAdmin, nodeId: string, url: string, clock: Clock): Promise<void> {
  const operation = memberOperation(admin, clock);
  const own = (await admin.memberList(operation.signal)).find(({ name }) => name === nodeId);
  if (own === undefined) throw new SwarmdError('not-found', `node ${nodeId} is no member of the store`);
  if (!own.peerUrls.includes(url) || own.peerUrls.length > 1) await updatePeerUrl(operation, own.id, url);
}
