import { dropField, dropLines, type Hide, hideAll, rewrite } from './support/hide.js';
import type { Outcome } from './support/normalise.js';

/** Something that swarmd answers otherwise on purpose. */
export interface KnownDifference {
  /** What differs, and why that is right. */
  reason: string;
  /** Titles of the steps that it may show in. */
  command: RegExp;
  /** Takes out of both sides' outcomes what differs, and nothing else. */
  hide: Hide;
}

const anything = /^/;

/** Every intended difference from Docker Swarm. Whatever is not here is a defect. */
const knownDifferences: readonly KnownDifference[] = [
  {
    reason: 'refusals say what is allowed, too; filters are refused in the lower case of later Dockers',
    command: anything,
    hide: hideAll(rewrite(/: accepted are [^"]*/, ''), rewrite(/Invalid (\S+ )?filter/, 'invalid $1filter')),
  },
  {
    reason: 'clients dereference EndpointSpec, so there always is one; the endpoint repeats its mode',
    command: /service inspect|GET .*\/services/,
    hide: hideAll(
      dropField('EndpointSpec', { Mode: 'vip' }),
      dropField('Spec', { Mode: 'vip' }),
      dropField('Spec', {}),
    ),
  },
  {
    reason: 'nodes say from when until when their certificate counts',
    command: /node inspect|GET .*\/nodes/,
    hide: dropField('Certificate'),
  },
  {
    reason: 'swarmd has no Raft settings of its own',
    command: /GET .*\/swarm$|info --format/,
    hide: hideAll(dropField('ElectionTick'), dropField('HeartbeatTick')),
  },
  {
    reason: 'an accepted node stays accepted: Docker takes it for pending once its spec was updated by the API',
    command: /node ls --filter membership=/,
    hide: dropLines(/ h3 /),
  },
  {
    reason: 'what a joining node is told was never a remote procedure call of its user',
    command: /swarm join --token/,
    hide: rewrite('rpc error: code = InvalidArgument desc = ', ''),
  },
  {
    reason: 'says which address is wrong',
    command: /swarm init --advertise-addr nonsense/,
    hide: rewrite(/(advertise address must be|invalid AdvertiseAddr).*/, '<not an address>'),
  },
  {
    reason: 'a constraint that cannot be read is the client’s mistake, not an unknown error',
    command: /--constraint/,
    hide: rewrite(/code = (Unknown|InvalidArgument) desc = (constraint|key|value)/, 'desc = $2'),
  },
  {
    reason: 'names the service that has the name, as it is written there',
    command: /--name WEB/,
    hide: rewrite(/service (WEB|web) already exists/, 'service <name> already exists'),
  },
  {
    reason: 'numbers are written as people write them, and which port is published twice is said',
    command: /service create/,
    hide: hideAll(rewrite('1e-05', '0.00001'), rewrite(/(duplicate published ports provided): .*/, '$1')),
  },
  {
    reason: 'the value of an environment variable may be a secret: messages do not repeat it',
    command: /--env/,
    hide: rewrite(/expanding env "(\w+)=[^"]*"/, 'expanding env "$1"'),
  },
  {
    reason: 'networks say how full they are, as Docker’s do from API 1.52 on',
    command: /network (ls|inspect)|GET .*\/networks/,
    hide: dropField('Status'),
  },
  {
    reason: 'a missing image says why it could not be had',
    command: /service ps/,
    hide: rewrite(/(No such image: [^\s"]+) \(.*\)/, '$1'),
  },
  {
    reason: 'a port that answers on IPv4 and IPv6 is shown once',
    command: /service ps|inspect/,
    hide: hideAll(rewrite(/\*:(\d+)->(\S+?),\*:\1->\2(?=[,\]\s]|$)/, '*:$1->$2'), oncePerPort),
  },
  {
    reason:
      'containers say which cluster they are of; they have their grace period and memory reservation from the engine, too',
    command: /container inspect/,
    hide: hideAll(
      dropField('com.swarmd.cluster.id'),
      dropField('StopTimeout'),
      dropField('MemoryReservation'),
      dropField('SecurityOpt'),
      dropField('Ulimits', null),
      dropField('Ulimits', []),
    ),
  },
  {
    reason: 'messages of Go’s decoders have words of our own',
    command: /^(GET|POST) /,
    hide: hideAll(
      rewrite(/^(invalid character|json: cannot unmarshal|invalid JSON|invalid value for).*/, '<cannot be read>'),
      rewrite(/^invalid filter: filters must be a JSON object$/, '<cannot be read>'),
      rewrite(/: (strconv\.ParseUint: .*|a number must be given)$/, ''),
    ),
  },
  {
    reason: 'a task template without a container is told so in one way, and two modes are named',
    command: /POST .*services\/create/,
    hide: hideAll(
      rewrite(/^(got EOF while reading request body|mismatched Runtime and \*Spec fields)$/, '<no container>'),
      rewrite(/^.*TaskSpec: missing runtime$/, '<no container>'),
      rewrite(/^(rpc error: .*)?(must specify only one service mode).*/, '$2'),
    ),
  },
  {
    reason: 'other runtimes than containers are not implemented: 501 says that',
    command: /POST .*services\/create/,
    hide: (outcome) =>
      /unsupported runtime|unimplemented runtime/.test(JSON.stringify(outcome))
        ? { code: outcome.code, stdout: '<unsupported runtime>', stderr: [] }
        : outcome,
  },
  {
    reason: 'a filter that makes no sense is the client’s mistake: 400 as for services, not 500',
    command: /GET .*\/tasks\?filters/,
    hide: rewrite(/^(400|500)$/, '<client’s mistake>'),
  },
  {
    reason: 'swarmd has an API version of its own',
    command: /v1\.99/,
    hide: rewrite(/Maximum supported API version is .*/, ''),
  },
];

/** An outcome of a step without what is known to differ. */
export function hideKnownDifferences(command: string, outcome: Outcome): Outcome {
  return knownDifferences
    .filter((difference) => difference.command.test(command))
    .reduce((left, difference) => difference.hide(left), outcome);
}

/** Of a task's port status every port once. */
function oncePerPort(outcome: Outcome): Outcome {
  const unique = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const texts = new Set<string>();
      const items = value.map(unique);
      return items.every((item) => typeof item === 'object' && item !== null && 'PublishedPort' in item)
        ? items.filter((item) => !texts.has(JSON.stringify(item)) && texts.add(JSON.stringify(item)))
        : items;
    }
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unique(item)]));
  };
  return { ...outcome, stdout: unique(outcome.stdout) };
}
