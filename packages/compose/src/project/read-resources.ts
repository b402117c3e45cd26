import { composeError } from '../problem.js';
import type { Env } from '../syntax/interpolate.js';
import { FileContent } from './content.js';
import { defined, type Reader } from './reader.js';
import type { FileObject, Network, Resource, Volume } from './types.js';

/** Reads a file: its content, or undefined when there is none. The only way this package touches a disk. */
export type ReadFile = (path: string) => string | Uint8Array | undefined;

function readResource(name: string, reader: Reader): Resource {
  const external = reader.flag('external') ?? false;
  return defined({
    // An external resource keeps its own name; the stack's namespace is not put in front of it.
    name: reader.text('name') ?? (external ? name : undefined),
    external,
    labels: reader.labels('labels'),
  });
}

/** A top-level network. */
export function readNetwork(name: string, network: Reader): Network {
  const ipam = network.at('ipam');
  return defined({
    ...readResource(name, network),
    driver: network.text('driver'),
    driverOptions: network.labels('driver_opts'),
    internal: network.flag('internal') ?? false,
    attachable: network.flag('attachable') ?? false,
    enableIpv4: network.flag('enable_ipv4'),
    enableIpv6: network.flag('enable_ipv6'),
    ipam: network.has('ipam')
      ? defined({
          driver: ipam.text('driver'),
          options: ipam.labels('options'),
          config: ipam.items('config').map((block) =>
            defined({
              subnet: block.text('subnet'),
              gateway: block.text('gateway'),
              ipRange: block.text('ip_range'),
              auxAddresses: block.labels('aux_addresses'),
            }),
          ),
        })
      : undefined,
  });
}

/**
 * A top-level volume.
 * @throws SwarmdError `invalid-argument` when an external volume is also described.
 */
export function readVolumeResource(name: string, volume: Reader): Volume {
  const resource = readResource(name, volume);
  for (const key of ['driver', 'driver_opts', 'labels']) {
    if (resource.external && volume.has(key)) {
      throw composeError(
        `${volume.path}.${key}`,
        'an external volume exists already and cannot be described',
        volume.node?.at,
      );
    }
  }
  return defined({
    ...resource,
    driver: volume.text('driver'),
    driverOptions: volume.labels('driver_opts'),
    clusterSpec: volume.has('x-cluster-spec') ? volume.at('x-cluster-spec').plain() : undefined,
  });
}

const SOURCES = ['file', 'environment', 'content', 'driver'];

/**
 * A top-level secret or config with what it holds, where that can be had.
 * @throws SwarmdError `invalid-argument` when it has several sources, or none.
 */
export function readFileObject(name: string, object: Reader, env: Env, readFile: ReadFile): FileObject {
  const resource = readResource(name, object);
  const sources = SOURCES.filter((key) => object.has(key));
  if (sources.length > 1)
    throw composeError(object.path, `${sources.join(' and ')} exclude each other`, object.node?.at);
  if (sources.length === 0 && !resource.external) {
    throw composeError(object.path, `one of ${SOURCES.join(', ')} or external is required`, object.node?.at);
  }
  const file = object.text('file');
  const environment = object.text('environment');
  const content =
    object.text('content') ??
    (environment === undefined ? undefined : env[environment]) ??
    (file === undefined || resource.external ? undefined : readFile(file));
  return defined({
    ...resource,
    file,
    environment,
    driver: object.text('driver'),
    driverOptions: object.labels('driver_opts'),
    templateDriver: object.text('template_driver'),
    content: content === undefined || resource.external ? undefined : new FileContent(content),
  });
}
