import { X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import { fsyncP99Ms } from '@swarmd/etcd';
import { type ManagerCheck, VERSIONS } from '@swarmd/model';
import { z } from 'zod';
import type { EtcdHost } from '../manager/etcd-host.js';
import type { ManagerRuntime } from '../manager-runtime.js';

/** This host's etcd may take this long to answer all that it is asked. */
const ETCD_TIMEOUT_MS = 3_000;

const EtcdSchema = z.object({
  Version: z.string(),
  SizeBytes: z.number(),
  UsedBytes: z.number(),
  QuotaBytes: z.number(),
  FsyncP99Ms: z.number().optional(),
  Alarms: z.array(z.string()),
  CertificateNotAfter: z.string(),
});

const OwnCheckSchema = z.object({
  NodeID: z.string(),
  Hostname: z.string(),
  SwarmdVersion: z.string(),
  Protocol: z.number(),
  ClockMs: z.number(),
  Etcd: EtcdSchema.optional(),
  Sessions: z.array(z.object({ nodeId: z.string(), swarmdVersion: z.string(), clockAheadMs: z.number().optional() })),
});

/** What a manager says of itself and of the agents connected to it; `ClockMs` is its wall time. */
export type OwnCheck = z.infer<typeof OwnCheckSchema>;

/** Checks what a manager answered to `check.own`. */
export function parseOwnCheck(answer: unknown): OwnCheck {
  return OwnCheckSchema.parse(answer);
}

/** How this manager is; before it serves there is less to say. */
export async function checkOwn(
  about: { nodeId: string; version: string; now: () => number },
  runtime: ManagerRuntime | undefined,
): Promise<OwnCheck> {
  const etcd = runtime?.host.etcd;
  const found = etcd && (await etcdCheck(etcd).catch(() => undefined));
  return {
    ...{ NodeID: about.nodeId, Hostname: hostname(), SwarmdVersion: about.version, Protocol: VERSIONS.protocol.max },
    ...(found === undefined ? {} : { Etcd: found }),
    Sessions: runtime?.manager.sessions() ?? [],
    // Last, so that it is as of the answer.
    ClockMs: about.now(),
  };
}

async function etcdCheck({ members: admin, process: member }: EtcdHost): Promise<ManagerCheck['Etcd']> {
  // What others run they look after.
  if (admin === undefined || member === undefined) return undefined;
  const signal = AbortSignal.timeout(ETCD_TIMEOUT_MS);
  const [status, alarms, fsync] = await Promise.all([
    admin.status(signal),
    // Asking for alarms takes a quorum.
    admin.alarms(signal).catch(() => []),
    fsyncP99Ms(member, signal),
  ]);
  return {
    Version: status.version,
    SizeBytes: status.dbSizeBytes,
    UsedBytes: status.dbSizeInUseBytes,
    QuotaBytes: member.quotaBytes,
    ...(fsync === undefined ? {} : { FsyncP99Ms: fsync }),
    Alarms: alarms.filter(({ memberId }) => memberId === status.memberId).map(({ kind }) => kind),
    CertificateNotAfter: new Date(new X509Certificate(member.clientTls.certificatePem).validTo).toISOString(),
  };
}
