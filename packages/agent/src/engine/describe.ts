import type { GenericResource, NodeDescription } from '@swarmd/model';
import { type EngineClient, READ_TIMEOUT_MS, within } from './client.js';
import { engineError } from './errors.js';

/** What the engine says of its host that the agent uses (a part of Docker's `GET /info`). */
export interface EngineInfo {
  Name: string;
  Architecture: string;
  OSType: string;
  NCPU: number;
  MemTotal: number;
  ServerVersion: string;
  DockerRootDir?: string;
  SecurityOptions?: string[] | null;
  Labels?: string[] | null;
  GenericResources?: GenericResource[] | null;
  Plugins?: Partial<Record<'Volume' | 'Network' | 'Authorization' | 'Log', string[] | null>> | null;
}

/** Asks the engine about its host. Throws `SwarmdError`s. */
export async function engineInfo(client: EngineClient, signal?: AbortSignal): Promise<EngineInfo> {
  try {
    const ask = client.docker.info.bind(client.docker) as unknown as (options: object) => Promise<EngineInfo>;
    return await ask({ abortSignal: within(READ_TIMEOUT_MS, signal) });
  } catch (thrown) {
    throw engineError(thrown);
  }
}

/** The host as the cluster sees it (Docker's NodeDescription). `overlay` counts as a network driver of every node. */
export function describeNode(info: EngineInfo): NodeDescription {
  const plugins = new Map<string, { Type: string; Name: string }>();
  for (const type of ['Authorization', 'Log', 'Network', 'Volume'] as const) {
    const names = [...(type === 'Network' ? ['overlay'] : []), ...(info.Plugins?.[type] ?? [])];
    for (const name of names) plugins.set(`${type}/${name}`, { Type: type, Name: name });
  }
  const labels = (info.Labels ?? []).flatMap((label): [string, string][] => {
    const equals = label.indexOf('=');
    return equals < 0 ? [] : [[label.slice(0, equals), label.slice(equals + 1)]];
  });
  return {
    Hostname: info.Name,
    Platform: { Architecture: info.Architecture, OS: info.OSType },
    Resources: {
      NanoCPUs: info.NCPU * 1e9,
      MemoryBytes: info.MemTotal,
      ...(info.GenericResources?.length ? { GenericResources: info.GenericResources } : {}),
    },
    Engine: {
      EngineVersion: info.ServerVersion,
      Labels: Object.fromEntries(labels),
      Plugins: [...plugins.keys()].sort().map((key) => plugins.get(key)!),
    },
  };
}

/**
 * By how much the engine shifts the user and group IDs of containers (`userns-remap`): the first number of the
 * remapped data directory's name, `…/100000.100000`; 0 without remapping.
 */
export function userOffset(info: EngineInfo): number {
  if (!(info.SecurityOptions ?? []).some((option) => option.startsWith('name=userns'))) return 0;
  const match = /\/(\d+)\.\d+$/.exec(info.DockerRootDir ?? '');
  return match ? Number(match[1]) : 0;
}
