import type { ServiceSpec } from '@swarmd/model';
import type { Client } from '../../client/client.js';
import { ApiError } from '../../client/errors.js';
import { familiarImage, parseImage } from '../../text/image-reference.js';

/** The part of `/distribution/{image}/json` that is used. */
interface Distribution {
  Descriptor?: { digest?: string };
  Platforms?: { architecture?: string; os?: string; Architecture?: string; OS?: string }[];
}

/**
 * The spec with its image pinned to the digest that the registry has for it now, and with the platforms of that image.
 * Where no registry answers, the spec as it was and a warning. Source: moby client, `resolveContainerSpecImage`.
 */
export async function pinImage(
  client: Client,
  spec: ServiceSpec,
  registryAuth: string | undefined,
): Promise<{ spec: ServiceSpec; warning?: string }> {
  const image = spec.TaskTemplate?.ContainerSpec?.Image ?? '';
  try {
    const headers: Record<string, string> = registryAuth === undefined ? {} : { 'X-Registry-Auth': registryAuth };
    // The name's slashes are part of the route.
    const found = await client.get<Distribution>(`/distribution/${encodeURI(image)}/json`, { headers });
    return { spec: pinned(spec, found) };
  } catch (thrown) {
    if (!(thrown instanceof ApiError)) throw thrown;
    return { spec, warning: notAccessible(image) };
  }
}

function pinned(spec: ServiceSpec, found: Distribution): ServiceSpec {
  const task = spec.TaskTemplate ?? {};
  const container = task.ContainerSpec ?? {};
  const image = parseImage(container.Image ?? '');
  const digest = found.Descriptor?.digest;
  const Image =
    image === undefined || image.digest !== undefined || digest === undefined
      ? container.Image
      : familiarImage({ ...image, digest });
  const platforms = (found.Platforms ?? []).map((platform) => {
    const architecture = platform.architecture ?? platform.Architecture ?? '';
    const os = platform.os ?? platform.OS ?? '';
    // The engine calls every variant "arm": a node's own name for itself (armv7l) would not match.
    return {
      ...(architecture === '' || architecture.toLowerCase() === 'arm' ? {} : { Architecture: architecture }),
      ...(os === '' ? {} : { OS: os }),
    };
  });
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ContainerSpec: { ...container, ...(Image === undefined ? {} : { Image }) },
      ...(platforms.length === 0 ? {} : { Placement: { ...task.Placement, Platforms: platforms } }),
    },
  };
}

function notAccessible(image: string): string {
  return [
    `image ${image} could not be accessed on a registry to record`,
    `its digest. Each node will access ${image} independently,`,
    'possibly leading to different nodes running different',
    'versions of the image.\n',
  ].join('\n');
}
