import type { PortConfig } from '@swarmd/model';
import type { FormatRow } from '@swarmd/template';
import type { ApiService } from '../../client/api-types.js';
import { listServices } from '../../client/resources.js';
import {
  filterFlag,
  formatFlag,
  type ListLayout,
  parseFilters,
  printList,
  quietFlag,
  shortId,
} from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { imageForDisplay } from '../../text/image-reference.js';
import { naturalCompare } from '../../text/natural-order.js';

/** How services are listed. */
export const SERVICE_LAYOUT: ListLayout = {
  headers: { ID: 'ID', Name: 'NAME', Mode: 'MODE', Replicas: 'REPLICAS', Image: 'IMAGE', Ports: 'PORTS' },
  table: '{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}',
};

/** `service ls`. */
export const serviceLs: Command = command({
  name: 'ls',
  aliases: ['list'],
  summary: 'List services',
  flags: { filter: filterFlag, format: formatFlag, quiet: quietFlag },
  async run(context, { flags }) {
    const services = await listServices(context.client, parseFilters(flags.filter), { status: true });
    printList(context, SERVICE_LAYOUT, serviceRows(services), flags);
  },
});

/** Rows of services, sorted by name. */
export function serviceRows(services: readonly ApiService[]): FormatRow[] {
  return services
    .toSorted((a, b) => naturalCompare(a.Spec.Name ?? '', b.Spec.Name ?? ''))
    .map((service) => ({
      ID: shortId(service.ID),
      Name: service.Spec.Name ?? '',
      Mode: modeOf(service),
      Replicas: replicasOf(service),
      Image: imageForDisplay(service.Spec.TaskTemplate?.ContainerSpec?.Image ?? ''),
      Ports: formatIngressPorts(service.Endpoint?.Ports ?? []),
    }));
}

function modeOf({ Spec }: ApiService): string {
  if (Spec.Mode?.Global != null) return 'global';
  if (Spec.Mode?.ReplicatedJob != null) return 'replicated job';
  if (Spec.Mode?.GlobalJob != null) return 'global job';
  return Spec.Mode?.Replicated != null ? 'replicated' : '';
}

function replicasOf({ Spec, ServiceStatus }: ApiService): string {
  const { RunningTasks = 0, DesiredTasks = 0, CompletedTasks = 0 } = ServiceStatus ?? {};
  const progress = `${RunningTasks}/${DesiredTasks}`;
  if (Spec.Mode?.ReplicatedJob != null) {
    return `${progress} (${CompletedTasks}/${Spec.Mode.ReplicatedJob.TotalCompletions ?? 1} completed)`;
  }
  if (Spec.Mode?.GlobalJob != null) return `${progress} (${CompletedTasks}/${DesiredTasks + CompletedTasks} completed)`;
  const most = Spec.Mode?.Replicated != null ? (Spec.TaskTemplate?.Placement?.MaxReplicas ?? 0) : 0;
  return most > 0 ? `${progress} (max ${most} per node)` : progress;
}

/** Ports of the ingress network, neighbours as ranges: `*:80-81->80-81/tcp, *:90->90/udp`. */
export function formatIngressPorts(ports: readonly PortConfig[]): string {
  interface Range {
    published: [number, number];
    target: [number, number];
    protocol: string;
  }
  const ranges: Range[] = [];
  const sorted = ports
    .filter(({ PublishMode }) => PublishMode === 'ingress')
    .map(({ PublishedPort = 0, TargetPort = 0, Protocol = 'tcp' }) => ({ PublishedPort, TargetPort, Protocol }))
    .toSorted((a, b) =>
      a.Protocol === b.Protocol ? a.PublishedPort - b.PublishedPort : a.Protocol < b.Protocol ? -1 : 1,
    );
  for (const { PublishedPort, TargetPort, Protocol } of sorted) {
    const last = ranges.at(-1);
    const isRange = last !== undefined && last.target[0] !== last.target[1];
    const continues =
      last !== undefined &&
      last.protocol === Protocol &&
      PublishedPort - last.published[1] <= 1 &&
      TargetPort >= last.target[1] &&
      TargetPort - last.target[1] <= 1 &&
      !(isRange && TargetPort <= last.target[1]);
    if (continues) {
      last.published[1] = PublishedPort;
      last.target[1] = TargetPort;
    } else {
      ranges.push({ published: [PublishedPort, PublishedPort], target: [TargetPort, TargetPort], protocol: Protocol });
    }
  }
  const show = ([first, last]: [number, number]): string => (last > first ? `${first}-${last}` : `${first}`);
  return ranges
    .map(({ published, target, protocol }) => `*:${show(published)}->${show(target)}/${protocol}`)
    .join(', ');
}
