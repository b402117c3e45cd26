import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { toStack } from '../src/index.js';
import { oracleMissing, recordStackDeploy } from './docker-cli.js';
import { loadFrom } from './from-disk.js';

const word = fc.constantFrom(
  'a',
  'bb',
  'c-c',
  'd.d',
  '1',
  '-5',
  '1.50',
  'true',
  'x y',
  "it's",
  '"q"',
  '$$x',
  'é',
  '#',
  '',
);
const name = fc.constantFrom('alpha', 'beta', 'gamma', 'delta');
const duration = fc.constantFrom('1s', '1m30s', '500ms', '1.5h', '0s', '2us');
const size = fc.constantFrom('64M', '1g', '1.5gb', '1024', '10kib', '0');
const small = fc.integer({ min: 0, max: 9 });
const scalar = fc.oneof(word, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(null));
const words = fc.uniqueArray(
  word.filter((text) => text !== ''),
  { minLength: 1, maxLength: 3 },
);
const pairs = fc.oneof(
  fc.dictionary(name, scalar, { minKeys: 1 }),
  fc
    .uniqueArray(fc.tuple(name, word), { minLength: 1, selector: ([key]) => key })
    .map((list) => list.map(([k, v]) => `${k}=${v}`)),
);

const port = fc.integer({ min: 1, max: 60_000 });
const shortPort = fc.oneof(
  port,
  port.map(String),
  fc.tuple(port, port, fc.constantFrom('', '/tcp', '/udp', '/sctp')).map(([a, b, protocol]) => `${a}:${b}${protocol}`),
  fc.tuple(port, small).map(([first, count]) => `${first}-${first + count}`),
  fc.tuple(port, port, small).map(([a, b, n]) => `${a}-${a + n}:${b}-${b + n}`),
  fc.tuple(port, port, small).map(([a, b, n]) => `${a}-${a + n}:${b}`),
);
const longPort = fc.record({
  target: port,
  published: port,
  protocol: fc.constantFrom('tcp', 'udp'),
  mode: fc.constantFrom('host', 'ingress'),
});

const target = fc.constantFrom('/t1', '/t2/x', '/t3/', '/');
const volume = fc.oneof(
  target.filter((path) => path !== '/'),
  fc
    .tuple(fc.constantFrom('/abs', '/abs/', './rel', './rel/', '../up', '~/home', '.', 'data', 'other'), target)
    .map((p) => p.join(':')),
  fc
    .tuple(fc.constantFrom('data', '/abs'), target, fc.constantFrom('ro', 'rw', 'nocopy', 'ro,rslave'))
    .map((p) => p.join(':'))
    .filter((v) => !/abs.*nocopy|data.*rslave/.test(v)),
  fc.record({ type: fc.constant('tmpfs'), target, tmpfs: fc.record({ size: fc.integer({ min: 0, max: 1e9 }) }) }),
  fc.record({ type: fc.constant('volume'), source: fc.constant('data'), target, read_only: fc.boolean() }),
);

const rollout = fc.record(
  {
    parallelism: small,
    delay: duration,
    failure_action: fc.constantFrom('pause', 'continue'),
    monitor: duration,
    max_failure_ratio: fc.constantFrom(0, 0.25, 1),
    order: fc.constantFrom('start-first', 'stop-first'),
  },
  { requiredKeys: [] },
);
const limits = fc.record(
  { cpus: fc.constantFrom('0.5', '2', '0.000000001', '.25'), memory: size },
  { requiredKeys: [] },
);

const deploy = fc.record(
  {
    mode: fc.constantFrom('replicated', 'replicated-job'),
    replicas: small,
    labels: pairs,
    update_config: rollout,
    rollback_config: rollout,
    resources: fc.record({ limits, reservations: limits }, { requiredKeys: [] }),
    restart_policy: fc.record(
      {
        condition: fc.constantFrom('none', 'any', 'on-failure'),
        delay: duration,
        max_attempts: small,
        window: duration,
      },
      { requiredKeys: [] },
    ),
    placement: fc.record(
      { constraints: words, preferences: fc.array(fc.record({ spread: name })), max_replicas_per_node: small },
      { requiredKeys: [] },
    ),
    endpoint_mode: fc.constantFrom('vip', 'dnsrr', 'VIP'),
  },
  { requiredKeys: [] },
);

const command = fc.oneof(words, fc.constantFrom('a b', "sh -c 'x; y'", 'a "b c" d\\ e', '', 'a #b'));

/** Services of keys that the CLI honours, written in ways in which it has no bug. */
const service = fc.record(
  {
    image: fc.constantFrom('x', 'x:1', 'docker.io/library/x', 'reg.example:5000/a/b', `x@sha256:${'0'.repeat(64)}`),
    command,
    entrypoint: command,
    environment: pairs,
    labels: pairs,
    sysctls: pairs,
    hostname: name,
    user: word,
    working_dir: fc.constantFrom('/w', 'w'),
    dns: fc.oneof(fc.constant('1.1.1.1'), fc.constant(['1.1.1.1', '8.8.8.8'])),
    dns_search: fc.oneof(name, fc.uniqueArray(name, { minLength: 1 })),
    extra_hosts: fc.constantFrom(['a:1.2.3.4', 'b=1.2.3.4', 'a:::1', 'c:[::1]', 'd:host-gateway'], {
      z: '::1',
      y: '1.2.3.4',
    }),
    healthcheck: fc.record(
      {
        test: fc.oneof(fc.constant('curl x'), fc.constant(['CMD', 'a']), fc.constant(['NONE'])),
        interval: duration,
        retries: small,
      },
      { requiredKeys: [] },
    ),
    init: fc.boolean(),
    tty: fc.boolean(),
    stdin_open: fc.boolean(),
    read_only: fc.boolean(),
    stop_signal: fc.constantFrom('SIGINT', '9'),
    stop_grace_period: duration,
    cap_add: fc.uniqueArray(fc.constantFrom('ALL', 'kill', 'CAP_CHOWN', 'net_admin'), { minLength: 1 }),
    cap_drop: fc.uniqueArray(fc.constantFrom('ALL', 'KILL', 'chown'), { minLength: 1 }),
    ulimits: fc.dictionary(
      fc.constantFrom('nofile', 'nproc'),
      fc.oneof(fc.integer({ min: 1, max: 99 }), fc.record({ soft: small, hard: small })),
      { minKeys: 1 },
    ),
    logging: fc.record({
      driver: fc.constantFrom('local', 'syslog'),
      options: fc.dictionary(name, word, { minKeys: 1 }),
    }),
    restart: fc.constantFrom('always', 'unless-stopped', 'on-failure', 'on-failure:3'),
    networks: fc.oneof(
      fc.uniqueArray(fc.constantFrom('default', 'n', 'own', 'ext'), { minLength: 1 }),
      fc.constant({ n: { aliases: ['q', 'r'] }, own: null }),
    ),
    ports: fc.uniqueArray(fc.oneof(shortPort, longPort), { minLength: 1, maxLength: 3, selector: JSON.stringify }),
    volumes: fc.uniqueArray(volume, { minLength: 1, maxLength: 3, selector: JSON.stringify }),
    secrets: fc.constant(['s', { source: 'e', target: 't', uid: '5', gid: '6', mode: 0o400 }]),
    configs: fc.constant([{ source: 'c', target: '/etc/c' }]),
    deploy,
  },
  { requiredKeys: ['image'] },
);

const RESOURCES = {
  networks: { n: null, own: { name: 'own-name', driver_opts: { a: 1 }, labels: ['l'] }, ext: { external: true } },
  volumes: { data: null, other: { driver: 'd', driver_opts: { n: 5 }, labels: { l: null } } },
  secrets: { s: { file: './content' }, e: { external: true } },
  configs: { c: { file: './content', labels: { n: 1.5 } } },
};

type Json = Record<string, unknown>;

const IDS = ['SecretID', 'ConfigID'];

/** Without what the API takes for absent, ports and mounts in an order of their own. */
function comparable(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => comparable(item));
    return key === 'Ports' ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const isMap = ['Labels', 'Options', 'Sysctls'].includes(key);
  const entries = Object.entries(value).filter(
    ([k, v]) => isMap || !(v === null || v === '' || v === false || IDS.includes(k)),
  );
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([k, v]) => [k, comparable(v, k)]));
}

function byName(values: readonly Json[]): unknown[] {
  return values
    .map((value) => comparable(value))
    .sort((a, b) => (String((a as Json)['Name']) < String((b as Json)['Name']) ? -1 : 1));
}

const missing = await oracleMissing();

t.test('stack › random services become what docker stack deploy sends', { skip: missing ?? false }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'compose-random-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'content'), 'content\n');
  const env = { HOME: '/home/someone' };
  await fc.assert(
    fc.asyncProperty(fc.array(service, { minLength: 1, maxLength: 12 }), async (services) => {
      const named = Object.fromEntries(services.map((definition, index) => [`s${index}`, definition]));
      writeFileSync(join(directory, 'c.yaml'), JSON.stringify({ version: '3.13', services: named, ...RESOURCES }));
      const sent = await recordStackDeploy(directory, ['c.yaml'], 'ns', env);
      const stack = toStack(loadFrom(directory, ['c.yaml'], env).project, { namespace: 'ns' });
      const bodies = (url: string) => sent.filter((request) => request.url === url).map(({ body }) => body);
      t.strictSame(byName(stack.services), byName(bodies('/services/create')));
      t.strictSame(byName(stack.networks), byName(bodies('/networks/create')));
      return t.passing();
    }),
    { numRuns: Number(process.env['RUNS'] ?? 10), endOnFailure: true },
  );
});
