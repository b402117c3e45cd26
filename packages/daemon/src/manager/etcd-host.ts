import { join } from 'node:path';
import {
  createEtcdAdmin,
  createEtcdClient,
  type EtcdAdmin,
  type EtcdClient,
  type EtcdMaintenance,
  type EtcdMember,
  etcdErrorKind,
  findEtcd,
  type GoneReason,
  startEtcdMaintenance,
  startEtcdMember,
} from '@swarmd/etcd';
import { type ResealableSharedLog, SwarmdError } from '@swarmd/model';
import { openEtcdLog, type ValueCipher } from '@swarmd/store';
import type { DaemonConfig } from '../config.js';
import type { NodePorts } from '../node-ports.js';
import { type EtcdMembership, managerFiles } from './manager-files.js';

/** Whether this host's member leads Raft is asked this often. */
const STATUS_PERIOD_MS = 250;
const STATUS_TIMEOUT_MS = 1_000;
const COMPACTION_TIMEOUT_MS = 120_000;

/** What {@link startEtcdHost} needs. */
export interface EtcdHostOptions {
  config: DaemonConfig;
  ports: NodePorts;
  nodeId: string;
  clusterId: string;
  membership: EtcdMembership;
  /** Makes this member the only one, with the data that it has. */
  forceNewCluster?: boolean;
  /** See `EtcdMemberOptions`. */
  quotaBytes?: number;
  /** The member cannot go on with the data that it has. */
  onGone(reason: GoneReason): void;
  /** Who uses it must begin anew. */
  onFailure(reason: SwarmdError): void;
}

/** The etcd of this manager: a process of this host under supervision, or one that somebody else runs. */
export interface EtcdHost {
  /** Through which its members are added and removed; none when they are somebody else's. */
  readonly members: EtcdAdmin | undefined;
  /** The member that this host runs; none when it is somebody else's. */
  readonly process: EtcdMember | undefined;
  /** The log on it. Waits for a quorum. The log is closed by whoever opened it. */
  openLog(cipher: ValueCipher, signal: AbortSignal): Promise<ResealableSharedLog>;
  /** The log that was opened last. */
  readonly log: ResealableSharedLog | undefined;
  /**
   * Has no member keep values that were replaced in its history; followers that lag behind read all anew. The history of
   * an etcd that others run is left to them.
   */
  forgetHistory(): Promise<void>;
  /** Whether this host's member leads Raft, as of a moment ago. */
  leadsConsensus(): boolean;
  /** Begins to keep it from running out of space; `leads` tells whether this manager compacts for all. */
  maintain(leads: () => boolean): void;
  readonly maintenance: EtcdMaintenance | undefined;
  stop(): Promise<void>;
}

/** Starts etcd on this host. Resolves when the process is there; see {@link EtcdHost.openLog} for when it serves. */
export async function startEtcdHost(options: EtcdHostOptions): Promise<EtcdHost> {
  const { config, ports, membership } = options;
  const { clock, logger } = ports;
  const { path } = await findEtcd(config.etcd);
  const member = await startEtcdMember({
    ...{ clock, logger, etcdPath: path, nodeId: options.nodeId, clusterId: options.clusterId },
    ...membership,
    dataDir: managerFiles(config.dataDir).etcdData,
    keyDir: join(config.runDir, 'etcd'),
    forceNewCluster: options.forceNewCluster ?? false,
    ...(options.quotaBytes === undefined ? {} : { quotaBytes: options.quotaBytes }),
    onGone: options.onGone,
    onEndpoint: () => options.onFailure(new SwarmdError('unavailable', 'etcd had to take another port')),
  });
  const admin = createEtcdAdmin(member);
  const clients: EtcdClient[] = [];
  let log: ResealableSharedLog | undefined;
  let leads = false;
  let stopped = false;
  let maintenance: EtcdMaintenance | undefined;
  let cancel = (): void => {};
  const look = async (): Promise<void> => {
    try {
      const { leaderId, memberId } = await admin.status(AbortSignal.timeout(STATUS_TIMEOUT_MS));
      leads = leaderId === memberId;
    } catch {
      leads = false;
    }
    if (!stopped) cancel = clock.after(STATUS_PERIOD_MS, () => void look());
  };
  void look();
  return {
    members: admin,
    process: member,
    openLog: async (cipher, signal) => {
      await member.ready(signal);
      const { caPem, certificatePem, keyPem } = member.clientTls;
      const client = createEtcdClient({
        endpoint: new URL(member.clientEndpoint).host,
        tls: { ca: caPem, certificate: certificatePem, key: keyPem },
      });
      try {
        log = await openEtcdLog({ client, dataKey: cipher, clock, logger: logger.child({ component: 'store' }) });
        clients.push(client);
        return log;
      } catch (error) {
        client.close();
        throw error;
      }
    },
    get log() {
      return log;
    },
    forgetHistory: async () => {
      const { revision } = await admin.status(AbortSignal.timeout(STATUS_TIMEOUT_MS));
      try {
        await admin.compact(revision, true, AbortSignal.timeout(COMPACTION_TIMEOUT_MS));
      } catch (error) {
        if (etcdErrorKind(error) !== 'compacted') throw error;
      }
    },
    leadsConsensus: () => leads,
    maintain: (leadsManagers) => {
      maintenance ??= startEtcdMaintenance({
        ...{ admin, clock, logger, isLeader: leadsManagers },
        quotaBytes: () => member.quotaBytes,
        onReport: ({ space, corrupt }) => logger.info({ space, corrupt }, 'space of etcd'),
      });
    },
    get maintenance() {
      return maintenance;
    },
    stop: async () => {
      stopped = true;
      cancel();
      await maintenance?.stop();
      for (const client of clients) client.close();
      admin.close();
      await member.stop();
    },
  };
}
