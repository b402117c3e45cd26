import { parsePortRange } from '../canonical/ports.js';
import { composeError } from '../problem.js';
import { child, type Plain } from '../syntax/tree.js';
import { readDeploy } from './read-deploy.js';
import { defined, type Reader } from './reader.js';
import type { Grant, Healthcheck, NetworkMembership, Port, Service, VolumeMount } from './types.js';

/** Keys that {@link Service} has fields for, or that earlier layers used up; all others go to `other`. */
const TYPED_KEYS = new Set(
  (
    'image command entrypoint hostname user working_dir environment env_file labels label_file dns dns_opt dns_search ' +
    'extra_hosts healthcheck init isolation stop_signal stop_grace_period tty stdin_open read_only cap_add cap_drop ' +
    'group_add security_opt sysctls ulimits oom_score_adj credential_spec logging networks network_mode ports volumes ' +
    'tmpfs secrets configs depends_on profiles restart scale cpus mem_limit mem_reservation pids_limit platform deploy ' +
    'extends'
  ).split(' '),
);

/** The environment and container labels that {@link readService} is given, files already read in. */
export interface ResolvedPairs {
  environment: Record<string, string | null>;
  labels: Record<string, string>;
}

/** A canonical service as its typed form. */
export function readService(name: string, service: Reader, pairs: ResolvedPairs): Service {
  const command = (key: string) => (service.has(key) ? service.texts(key) : undefined);
  return defined({
    name,
    image: service.text('image'),
    command: command('command'),
    entrypoint: command('entrypoint'),
    hostname: service.text('hostname'),
    user: service.text('user'),
    workingDir: service.text('working_dir'),
    environment: pairs.environment,
    labels: pairs.labels,
    dns: service.texts('dns'),
    dnsOptions: service.texts('dns_opt'),
    dnsSearch: service.texts('dns_search'),
    extraHosts: service.texts('extra_hosts'),
    healthcheck: service.has('healthcheck') ? readHealthcheck(service.at('healthcheck')) : undefined,
    init: service.flag('init'),
    isolation: service.text('isolation'),
    stopSignal: service.text('stop_signal'),
    stopGracePeriodNs: service.durationNs('stop_grace_period'),
    tty: service.flag('tty') ?? false,
    stdinOpen: service.flag('stdin_open') ?? false,
    readOnly: service.flag('read_only') ?? false,
    capAdd: service.texts('cap_add'),
    capDrop: service.texts('cap_drop'),
    groupAdd: service.texts('group_add'),
    securityOptions: service.texts('security_opt'),
    sysctls: service.labels('sysctls'),
    ulimits: readUlimits(service.at('ulimits')),
    oomScoreAdj: service.integer('oom_score_adj'),
    credentialSpec: readCredentialSpec(service),
    logging: readLogging(service),
    networks: Object.fromEntries(service.at('networks').entries().map(readMembership)),
    networkMode: service.text('network_mode'),
    ports: service.items('ports').map(readPort),
    volumes: service.items('volumes').map(readVolume),
    tmpfs: service.texts('tmpfs'),
    secrets: service.items('secrets').map(readGrant),
    configs: service.items('configs').map(readGrant),
    dependsOn: readDependencies(service),
    profiles: service.texts('profiles'),
    restart: service.text('restart'),
    scale: service.integer('scale'),
    nanoCpus: service.nanoCpus('cpus'),
    memoryLimitBytes: service.bytes('mem_limit'),
    memoryReservationBytes: service.bytes('mem_reservation'),
    pidsLimit: service.integer('pids_limit'),
    platform: service.text('platform'),
    deploy: readDeploy(service.at('deploy')),
    other: readOther(service),
  });
}

function readHealthcheck(check: Reader): Healthcheck {
  return defined({
    test: check.has('test') ? check.texts('test') : undefined,
    intervalNs: check.durationNs('interval'),
    timeoutNs: check.durationNs('timeout'),
    startPeriodNs: check.durationNs('start_period'),
    startIntervalNs: check.durationNs('start_interval'),
    retries: check.integer('retries'),
    disable: check.flag('disable') ?? false,
  });
}

function readUlimits(ulimits: Reader): Service['ulimits'] {
  return Object.fromEntries(
    ulimits.entries().map(([name, limit]) => {
      const single = ulimits.integer(name);
      const [soft, hard] =
        limit.value() === undefined ? [limit.integer('soft'), limit.integer('hard')] : [single, single];
      return [name, { soft: soft ?? 0, hard: hard ?? 0 }];
    }),
  );
}

function readCredentialSpec(service: Reader): Service['credentialSpec'] {
  if (!service.has('credential_spec')) return undefined;
  const spec = service.at('credential_spec');
  return defined({ config: spec.text('config'), file: spec.text('file'), registry: spec.text('registry') });
}

function readLogging(service: Reader): Service['logging'] {
  if (!service.has('logging')) return undefined;
  const logging = service.at('logging');
  return defined({
    driver: logging.text('driver'),
    options: logging.has('options') ? logging.labels('options') : undefined,
  });
}

function readMembership([name, membership]: [string, Reader]): [string, NetworkMembership] {
  const other = membership
    .entries()
    .filter(([key]) => key !== 'aliases' && key !== 'driver_opts' && !key.startsWith('x-'));
  return [
    name,
    {
      aliases: membership.texts('aliases'),
      driverOptions: membership.labels('driver_opts'),
      other: Object.fromEntries(other.map(([key, value]) => [key, value.plain()])),
    },
  ];
}

function readPort(port: Reader): Port {
  const target = port.integer('target');
  const published = port.text('published');
  const fail = (key: string, message: string): never => {
    throw composeError(`${port.path}.${key}`, message, child(port.node, key)?.at ?? port.node?.at);
  };
  if (target === undefined || target < 1 || target > 65_535)
    fail('target', 'a port of the container (1–65535) is required');
  if (published !== undefined && published !== '' && parsePortRange(published) === undefined) {
    fail('published', `${JSON.stringify(published)} is no port or range of ports`);
  }
  return defined({
    name: port.text('name'),
    mode: port.text('mode') ?? 'ingress',
    hostIp: port.text('host_ip'),
    target: target!,
    published: published === '' ? undefined : published,
    protocol: port.text('protocol')?.toLowerCase() ?? 'tcp',
    appProtocol: port.text('app_protocol'),
  });
}

function readVolume(volume: Reader): VolumeMount {
  const [bind, own, tmpfs] = [volume.at('bind'), volume.at('volume'), volume.at('tmpfs')];
  const target = volume.text('target');
  if (target === undefined) throw composeError(volume.path, 'target is required', volume.node?.at);
  return defined({
    type: volume.text('type') ?? 'volume',
    source: volume.text('source'),
    target,
    readOnly: volume.flag('read_only') ?? false,
    consistency: volume.text('consistency'),
    bind: volume.has('bind')
      ? defined({
          propagation: bind.text('propagation'),
          createHostPath: bind.flag('create_host_path'),
          recursive: bind.text('recursive'),
          selinux: bind.text('selinux'),
        })
      : undefined,
    volume: volume.has('volume')
      ? defined({ nocopy: own.flag('nocopy') ?? false, subpath: own.text('subpath'), labels: own.labels('labels') })
      : undefined,
    tmpfs: volume.has('tmpfs') ? defined({ sizeBytes: tmpfs.bytes('size'), mode: tmpfs.fileMode('mode') }) : undefined,
    image: volume.has('image') ? defined({ subpath: volume.at('image').text('subpath') }) : undefined,
  });
}

function readGrant(grant: Reader): Grant {
  const source = grant.text('source');
  if (source === undefined) throw composeError(grant.path, 'source is required', grant.node?.at);
  return defined({
    source,
    target: grant.text('target'),
    uid: grant.text('uid'),
    gid: grant.text('gid'),
    mode: grant.fileMode('mode'),
  });
}

function readDependencies(service: Reader): Service['dependsOn'] {
  return Object.fromEntries(
    service
      .at('depends_on')
      .entries()
      .map(([name, dependency]) => [
        name,
        {
          condition: dependency.text('condition') ?? 'service_started',
          restart: dependency.flag('restart') ?? false,
          required: dependency.flag('required') ?? true,
        },
      ]),
  );
}

function readOther(service: Reader): Record<string, Plain> {
  const rest = service.entries().filter(([key]) => !TYPED_KEYS.has(key));
  return Object.fromEntries(rest.map(([key, value]) => [key, value.plain()]));
}
