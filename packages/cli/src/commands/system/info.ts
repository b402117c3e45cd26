import { DOCKER_FUNCTIONS, parseTemplate, toGoJson } from '@swarmd/template';
import type { ApiCluster, ApiInfo } from '../../client/api-types.js';
import { getInfo } from '../../client/resources.js';
import { inspectFormatFlag, templateFailure } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { formatDurationNs } from '../../text/durations.js';
import { formatBytes } from '../../text/quantities.js';

/** `info`. */
export const info: Command = command({
  name: 'info',
  summary: 'Display information about the cluster, this node and its engine',
  flags: { format: inspectFormatFlag },
  async run(context, { flags }) {
    const found = await getInfo(context.client);
    const { format } = flags;
    if (format === undefined || format === '') context.out.write(describeInfo(found));
    else if (format === 'json') context.out.write(`${toGoJson(found)}\n`);
    else {
      try {
        context.out.write(`${parseTemplate(format, { functions: DOCKER_FUNCTIONS }).execute(found)}\n`);
      } catch (thrown) {
        throw templateFailure(thrown);
      }
    }
    for (const warning of found.Swarm.Warnings ?? []) context.err.write(`WARNING: ${warning}\n`);
    const errors = (found['ServerErrors'] ?? []) as string[];
    for (const error of errors) context.err.write(`ERROR: ${error}\n`);
    return errors.length > 0 ? 1 : 0;
  },
});

function describeInfo(found: ApiInfo): string {
  const text = (field: string): string => String(found[field] ?? '');
  const lines = [
    ...swarmLines(found.Swarm),
    'Node:',
    ` Name: ${found.Name ?? ''}`,
    ` Operating System: ${text('OperatingSystem')}`,
    ` Kernel Version: ${text('KernelVersion')}`,
    ` Architecture: ${text('Architecture')}`,
    ` CPUs: ${text('NCPU')}`,
    ` Total Memory: ${formatBytes(Number(found['MemTotal'] ?? 0))}`,
    'Engine:',
    ` Server Version: ${text('ServerVersion')}`,
    ` Storage Driver: ${text('Driver')}`,
    ` Containers: ${text('Containers')} (${text('ContainersRunning')} running)`,
    ` Images: ${text('Images')}`,
    ` Docker Root Dir: ${text('DockerRootDir')}`,
  ];
  return `${lines.join('\n')}\n`;
}

function swarmLines(swarm: ApiInfo['Swarm']): string[] {
  const lines = [`Swarm: ${swarm.LocalNodeState ?? 'inactive'}`];
  if (swarm.LocalNodeState === undefined || ['inactive', 'locked'].includes(swarm.LocalNodeState)) return lines;
  lines.push(` NodeID: ${swarm.NodeID ?? ''}`);
  if (swarm.Error) lines.push(` Error: ${swarm.Error}`);
  lines.push(` Is Manager: ${swarm.ControlAvailable === true}`);
  const { Cluster } = swarm;
  if (swarm.ControlAvailable === true && Cluster != null) {
    const { Spec } = Cluster;
    lines.push(
      ` ClusterID: ${Cluster.ID ?? ''}`,
      ` Managers: ${swarm.Managers ?? 0}`,
      ` Nodes: ${swarm.Nodes ?? 0}`,
      ' Orchestration:',
      `  Task History Retention Limit: ${Spec?.Orchestration?.TaskHistoryRetentionLimit ?? 5}`,
      ' Dispatcher:',
      `  Heartbeat Period: ${formatDurationNs(Spec?.Dispatcher?.HeartbeatPeriod ?? 0)}`,
      ' CA Configuration:',
      `  Expiry Duration: ${formatDurationNs(Spec?.CAConfig?.NodeCertExpiry ?? 0)}`,
      ...dataKeyLines(Cluster.DataKeyRotation),
    );
  }
  lines.push(` Node Address: ${swarm.NodeAddr ?? ''}`);
  const managers = (swarm.RemoteManagers ?? []).map(({ Addr }) => Addr).toSorted();
  if (managers.length > 0) lines.push(' Manager Addresses:', ...managers.map((address) => `  ${address}`));
  return lines;
}

function dataKeyLines(rotation: ApiCluster['DataKeyRotation']): string[] {
  if (rotation === undefined) return [];
  const waits = rotation.WaitingFor.map(
    ({ NodeID, Hostname, Reachability }) => `${Hostname || NodeID} (${Reachability})`,
  );
  const how =
    rotation.State === 'sealing'
      ? 'replaced, the stored state is being sealed anew'
      : `being replaced since ${rotation.Since ?? ''}, waits for ${waits.join(', ') || 'the leader'}`;
  return [` Data Key: ${how}`];
}
