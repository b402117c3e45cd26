import type { Mount } from '@swarmd/model';
import { parseBytes } from '../project/quantities.js';
import type { Project, Service, VolumeMount } from '../project/types.js';
import { omitEmpty, scoped, stackLabels } from './namespace.js';
import type { ServiceReport } from './report.js';

/** `volumes` and `tmpfs` of a service as Docker's mounts, in the order of the file. */
export function convertMounts(project: Project, service: Service, namespace: string, report: ServiceReport): Mount[] {
  return [
    ...service.volumes.map((volume) => convertVolume(project, volume, namespace, report)),
    ...service.tmpfs.map((text) => convertTmpfs(text, report)),
  ];
}

function convertVolume(project: Project, volume: VolumeMount, namespace: string, report: ServiceReport): Mount {
  reportOptions(volume, report);
  const mount: Mount = omitEmpty({
    Type: volume.type,
    Source: volume.source,
    Target: volume.target,
    ReadOnly: volume.readOnly,
    Consistency: volume.consistency,
  });
  switch (volume.type) {
    case 'volume':
      return { ...mount, ...namedVolume(project, volume, namespace) };
    case 'bind':
    case 'npipe':
      return { ...mount, ...bindOptions(volume) };
    case 'tmpfs':
      return volume.tmpfs === undefined
        ? mount
        : { ...mount, TmpfsOptions: omitEmpty({ SizeBytes: volume.tmpfs.sizeBytes, Mode: volume.tmpfs.mode }) };
    case 'image':
      report('volumes', 'warning', 'mounts of type image work only on engines from 28 on');
      return {
        ...mount,
        ...(volume.image?.subpath === undefined ? {} : { ImageOptions: { Subpath: volume.image.subpath } }),
      };
    default:
      report('volumes', 'error', `mounts of type ${volume.type} are not supported: there are no cluster volumes`);
      return {
        ...mount,
        Source: volume.source?.startsWith('group:') ? volume.source : volumeName(project, volume, namespace),
      };
  }
}

function volumeName(project: Project, volume: VolumeMount, namespace: string): string {
  const source = volume.source ?? '';
  return project.volumes[source]?.name ?? scoped(namespace, source);
}

function namedVolume(project: Project, volume: VolumeMount, namespace: string): Partial<Mount> {
  const options = { NoCopy: volume.volume?.nocopy, Subpath: volume.volume?.subpath };
  const ownLabels = volume.volume?.labels ?? {};
  if (volume.source === undefined || volume.source === '') {
    const given = omitEmpty({ ...options, Labels: ownLabels });
    return Object.keys(given).length === 0 ? {} : { VolumeOptions: given };
  }
  const resource = project.volumes[volume.source];
  const Source = volumeName(project, volume, namespace);
  if (resource?.external === true) return { Source, VolumeOptions: omitEmpty(options) };
  const hasDriver = resource?.driver !== undefined || Object.keys(resource?.driverOptions ?? {}).length > 0;
  return {
    Source,
    VolumeOptions: {
      ...omitEmpty(options),
      Labels: stackLabels(namespace, { ...resource?.labels, ...ownLabels }),
      ...(hasDriver ? { DriverConfig: omitEmpty({ Name: resource?.driver, Options: resource?.driverOptions }) } : {}),
    },
  };
}

function bindOptions(volume: VolumeMount): Partial<Mount> {
  if (volume.bind === undefined) return {};
  const { propagation, createHostPath, recursive } = volume.bind;
  return {
    BindOptions: omitEmpty({
      Propagation: propagation,
      CreateMountpoint: createHostPath,
      NonRecursive: recursive === 'disabled',
      ReadOnlyNonRecursive: recursive === 'writable',
      ReadOnlyForceRecursive: recursive === 'readonly',
    }),
  };
}

/** Which group of options belongs to which type of mount. */
const GROUPS = { bind: ['bind', 'npipe'], volume: ['volume'], tmpfs: ['tmpfs'], image: ['image'] } as const;

function reportOptions(volume: VolumeMount, report: ServiceReport): void {
  for (const [group, types] of Object.entries(GROUPS)) {
    const isGiven = volume[group as keyof typeof GROUPS] !== undefined;
    if (isGiven && !(types as readonly string[]).includes(volume.type)) {
      report('volumes', 'error', `${volume.target}: ${group} options do not go with type ${volume.type}`);
    }
  }
  if (volume.bind?.selinux !== undefined) {
    report('volumes', 'warning', `${volume.target}: files are not relabelled for SELinux (${volume.bind.selinux})`);
  }
  if (['bind', 'npipe', 'image'].includes(volume.type) && (volume.source ?? '') === '') {
    report('volumes', 'error', `${volume.target}: a mount of type ${volume.type} needs a source`);
  }
  if (volume.type === 'tmpfs' && (volume.source ?? '') !== '') {
    report('volumes', 'error', `${volume.target}: a mount of type tmpfs has no source`);
  }
}

/** `PATH[:OPTION,…]` with the options that swarm knows: size, mode, ro. */
function convertTmpfs(text: string, report: ServiceReport): Mount {
  const colon = text.indexOf(':');
  const target = colon < 0 ? text : text.slice(0, colon);
  const options: { SizeBytes?: number; Mode?: number } = {};
  let readOnly = false;
  for (const option of colon < 0 ? [] : text.slice(colon + 1).split(',')) {
    const [name, value = ''] = option.split('=');
    const size = name === 'size' ? parseBytes(value) : undefined;
    if (size !== undefined) options.SizeBytes = size;
    else if (name === 'mode' && /^[0-7]+$/.test(value)) options.Mode = Number.parseInt(value, 8);
    else if (name === 'ro' || name === 'rw') readOnly = name === 'ro';
    else report('tmpfs', 'warning', `${target}: option ${option} is not supported`);
  }
  return {
    Type: 'tmpfs',
    Target: target,
    ...omitEmpty({ ReadOnly: readOnly, TmpfsOptions: omitEmpty(options) }),
  };
}
