import type { ApiNode } from '../../client/api-types.js';
import { getNode } from '../../client/resources.js';
import { inspectFormatFlag, prettyPrint } from '../../output/list.js';
import { inspect, labelLines, prettyFlag, sortedPairs } from '../../output/pretty.js';
import { type Command, command } from '../../program/command.js';
import { prettyTime } from '../../text/durations.js';
import { formatBytes } from '../../text/quantities.js';

/** `node inspect`. */
export const nodeInspect: Command = command({
  name: 'inspect',
  summary: 'Display detailed information on one or more nodes',
  synopsis: 'self|NODE [NODE...]',
  arity: { min: 1 },
  argument: 'node',
  flags: { format: inspectFormatFlag, pretty: prettyFlag },
  async run(context, { flags, args }) {
    await inspect(context, args, flags, (ref) => getNode(context.client, ref), describeNode);
  },
});

/** A node in the docker CLI's human form. */
export function describeNode(node: ApiNode): string {
  const { Spec, Description, Status, ManagerStatus, Certificate } = node;
  const { Platform = {}, Resources = {}, Engine = {}, TLSInfo = {} } = Description;
  return [
    `ID:\t\t\t${node.ID}`,
    ...(Spec.Name ? [`Name:\t\t\t${Spec.Name}`] : []),
    ...labelLines('Labels:', Spec.Labels, ' - '),
    `Hostname:              \t${Description.Hostname ?? ''}`,
    `Joined at:             \t${prettyTime(node.CreatedAt)}`,
    'Status:',
    ` State:\t\t\t${prettyPrint(Status.State)}`,
    ...(Status.Message ? [` Message:              \t${prettyPrint(Status.Message)}`] : []),
    ` Availability:         \t${prettyPrint(Spec.Availability)}`,
    ...(Status.Addr ? [` Address:\t\t${Status.Addr}`] : []),
    ...(ManagerStatus === undefined
      ? []
      : [
          'Manager Status:',
          ` Address:\t\t${ManagerStatus.Addr ?? ''}`,
          ` Raft Status:\t\t${prettyPrint(ManagerStatus.Reachability)}`,
          ` Leader:\t\t${ManagerStatus.Leader === true ? 'Yes' : 'No'}`,
        ]),
    'Platform:',
    ` Operating System:\t${Platform.OS ?? ''}`,
    ` Architecture:\t\t${Platform.Architecture ?? ''}`,
    'Resources:',
    ` CPUs:\t\t\t${Math.floor((Resources.NanoCPUs ?? 0) / 1e9)}`,
    ` Memory:\t\t${Resources.MemoryBytes ? formatBytes(Resources.MemoryBytes) : ''}`,
    ...pluginLines(Engine.Plugins ?? []),
    `Engine Version:\t\t${Engine.EngineVersion ?? ''}`,
    ...labelLines('Engine Labels:', Engine.Labels, ' - '),
    ...(Object.values(TLSInfo).some((value) => value)
      ? [
          'TLS Info:',
          ` TrustRoot:\n${TLSInfo.TrustRoot ?? ''}`,
          ` Issuer Subject:\t${TLSInfo.CertIssuerSubject ?? ''}`,
          ` Issuer Public Key:\t${TLSInfo.CertIssuerPublicKey ?? ''}`,
        ]
      : []),
    ...(node.SwarmdVersion ? [`swarmd Version:\t\t${node.SwarmdVersion}`] : []),
    ...(Certificate === undefined ? [] : [`Certificate Expiry:\t${prettyTime(Certificate.NotAfter)}`]),
  ].join('\n');
}

function pluginLines(plugins: readonly { Type: string; Name: string }[]): string[] {
  const byType: Record<string, string> = {};
  for (const { Type, Name } of plugins) byType[Type] = byType[Type] === undefined ? Name : `${byType[Type]}, ${Name}`;
  const lines = sortedPairs(byType).map(([type, names]) => ` ${type}:\t\t${names}`);
  return lines.length === 0 ? [] : ['Plugins:', ...lines];
}
