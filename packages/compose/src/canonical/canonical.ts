import type { Report } from '../problem.js';
import { type MappingNode, mappingLike, type Tree } from '../syntax/tree.js';
import { mapEntries, type Transform } from './build.js';
import {
  itemsTo,
  toBuild,
  toDependencies,
  toDevices,
  toExternalFlag,
  toHealthTest,
  toHooks,
  toHosts,
  toIncludes,
  toLabels,
  toList,
  toMapping,
  toMemberships,
  toVariables,
  toWords,
} from './lists.js';
import { toPorts } from './ports.js';
import { toVolumes } from './volumes.js';

/**
 * A checked file with every short way of writing replaced by the long one, so that merging and reading know one form
 * only: lists of pairs become mappings, command lines words, ports, volumes, devices and grants mappings.
 * @throws SwarmdError `invalid-argument` for texts that cannot be taken apart.
 */
export function toCanonical(file: MappingNode, report: Report): MappingNode {
  const service = serviceForm(report);
  const canonical = mapEntries(
    file,
    {
      include: toIncludes,
      services: eachEntry(service),
      networks: eachEntry((node, path) => labelled(toExternalFlag(node, path), path)),
      volumes: eachEntry((node, path) => labelled(toExternalFlag(node, path), path)),
      secrets: eachEntry((node, path) => labelled(toExternalFlag(node, path), path)),
      configs: eachEntry((node, path) => labelled(toExternalFlag(node, path), path)),
    },
    '',
  );
  return canonical as MappingNode;
}

function eachEntry(change: Transform): Transform {
  return (node, path) => {
    if (node.kind !== 'mapping') return node;
    return mappingLike(
      node,
      [...node.entries].map(([key, entry]) => {
        const value = entry.node.tag === 'reset' ? entry.node : change(entry.node, `${path}.${key}`);
        return [key, { at: entry.at, node: value }] as const;
      }),
    );
  };
}

function labelled(node: Tree, path: string): Tree {
  return mapEntries(node, { labels: toLabels }, path);
}

function serviceForm(report: Report): Transform {
  const inside =
    (changes: Readonly<Record<string, Transform>>): Transform =>
    (node, path) =>
      mapEntries(toMapping(node, path), changes, path);
  const changes: Readonly<Record<string, Transform>> = {
    annotations: toLabels,
    build: toBuild,
    command: toWords,
    configs: itemsTo('source'),
    depends_on: toDependencies,
    deploy: inside({ labels: toLabels }),
    devices: toDevices,
    dns: toList,
    dns_search: toList,
    entrypoint: toWords,
    env_file: (node, path) => itemsTo('path')(toList(node, path), path),
    environment: toVariables,
    extends: (node) => (node.kind === 'scalar' ? mappingLike(node, [['service', { at: node.at, node }]]) : node),
    extra_hosts: toHosts,
    healthcheck: inside({ test: toHealthTest }),
    label_file: toList,
    labels: toLabels,
    models: toMemberships,
    networks: toMemberships,
    ports: toPorts,
    post_start: toHooks,
    pre_stop: toHooks,
    secrets: itemsTo('source'),
    sysctls: toLabels,
    tmpfs: toList,
    volumes: toVolumes(report),
  };
  return (node, path) => mapEntries(node, changes, path);
}
