import { type Mount, SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import { apiAtLeast, type MountedFile } from './request.js';

type EngineMount = NonNullable<Docker.HostConfig['Mounts']>[number];

/**
 * The engine's mounts for those of a spec and for the task's secret and config files. Throws `invalid-argument` or
 * `unimplemented` for what cannot be mounted here (checks as in Docker's executor, plus what the engine would drop).
 */
export function convertMounts(
  mounts: readonly Mount[],
  files: readonly MountedFile[],
  apiVersion: string,
): EngineMount[] {
  return [
    ...mounts.map((mount) => convertMount(mount, apiVersion)),
    ...files.map((file): EngineMount => ({ Type: 'bind', Source: file.hostPath, Target: file.target, ReadOnly: true })),
  ];
}

function convertMount(mount: Mount, apiVersion: string): EngineMount {
  const type = mount.Type === undefined || mount.Type === '' ? 'volume' : mount.Type;
  refuse(mount, type, apiVersion);
  // Options the engine's types do not list (image, readonly recursion) go through as they are.
  const { Type: _type, BindOptions, VolumeOptions, TmpfsOptions, ...rest } = mount;
  return {
    ...rest,
    Type: type,
    Source: mount.Source ?? '',
    Target: mount.Target ?? '',
    ...(BindOptions ? { BindOptions } : {}),
    ...(VolumeOptions ? { VolumeOptions } : {}),
    ...(TmpfsOptions ? { TmpfsOptions } : {}),
  } as EngineMount;
}

function refuse(mount: Mount, type: string, apiVersion: string): void {
  const source = mount.Source ?? '';
  const target = mount.Target ?? '';
  if (!target.startsWith('/') && type !== 'npipe') {
    throw invalid(`invalid mount target, must be an absolute path: ${target}`);
  }
  switch (type) {
    case 'bind':
      if (!source.startsWith('/')) throw invalid(`invalid bind mount source, must be an absolute path: ${source}`);
      return;
    case 'volume':
      if (source.startsWith('/')) throw invalid(`invalid volume mount source, must not be an absolute path: ${source}`);
      if (mount.VolumeOptions?.Subpath && !apiAtLeast(apiVersion, '1.45')) {
        throw unable(`mounting a volume's subpath needs Docker 26 or later on this node: ${target}`);
      }
      return;
    case 'tmpfs':
      if (source !== '') throw invalid('invalid tmpfs source, source must be empty');
      return;
    case 'image':
      if (!apiAtLeast(apiVersion, '1.48')) {
        throw unable(`mounting an image needs Docker 28 or later on this node: ${target}`);
      }
      return;
    case 'npipe':
      throw unable(`named pipes can only be mounted on Windows: ${target}`);
    case 'cluster':
      throw unable(`cluster volumes are not supported: ${target}`);
    default:
      throw invalid(`invalid mount type: ${type}`);
  }
}

function invalid(message: string): SwarmdError {
  return new SwarmdError('invalid-argument', message, { field: 'TaskTemplate.ContainerSpec.Mounts' });
}

function unable(message: string): SwarmdError {
  return new SwarmdError('unimplemented', message, { field: 'TaskTemplate.ContainerSpec.Mounts' });
}
