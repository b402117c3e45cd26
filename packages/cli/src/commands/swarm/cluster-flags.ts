import type { ClusterSpec } from '@swarmd/model';
import type { Invocation } from '../../program/command.js';
import { duration, int, uint } from '../../program/flag-types.js';

/** Flags for the cluster's own spec, shared by `init` and `swarm update`. */
export const CLUSTER_FLAGS = {
  'cert-expiry': duration('Validity period for node certificates (ns|us|ms|s|m|h)', { defaultText: '2160h0m0s' }),
  'dispatcher-heartbeat': duration('Dispatcher heartbeat period (ns|us|ms|s|m|h)', { defaultText: '5s' }),
  'max-snapshots': uint('Number of additional Raft snapshots to retain'),
  'snapshot-interval': uint('Number of log entries between Raft snapshots', { defaultText: '10000' }),
  'task-history-limit': int('Task history retention limit', { defaultText: '5' }),
};

/** The spec with what those flags, and `--autolock`, say; `spec` stays as it is. */
export function editClusterSpec(
  spec: ClusterSpec,
  { flags, given }: Pick<Invocation<typeof CLUSTER_FLAGS>, 'given'> & { flags: Readonly<Record<string, unknown>> },
): ClusterSpec {
  const draft = structuredClone(spec);
  const number = (name: keyof typeof CLUSTER_FLAGS): number => flags[name] as number;
  if (given.has('task-history-limit')) {
    draft.Orchestration = { ...draft.Orchestration, TaskHistoryRetentionLimit: number('task-history-limit') };
  }
  if (given.has('dispatcher-heartbeat')) {
    draft.Dispatcher = { ...draft.Dispatcher, HeartbeatPeriod: number('dispatcher-heartbeat') };
  }
  if (given.has('max-snapshots')) draft.Raft = { ...draft.Raft, KeepOldSnapshots: number('max-snapshots') };
  if (given.has('snapshot-interval')) draft.Raft = { ...draft.Raft, SnapshotInterval: number('snapshot-interval') };
  if (given.has('cert-expiry')) draft.CAConfig = { ...draft.CAConfig, NodeCertExpiry: number('cert-expiry') };
  if (given.has('autolock')) {
    draft.EncryptionConfig = { ...draft.EncryptionConfig, AutoLockManagers: flags['autolock'] === true };
  }
  return draft;
}
