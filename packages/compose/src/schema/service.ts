import {
  command,
  decimal,
  extraHosts,
  flag,
  gpus,
  grants,
  hook,
  integer,
  NAME_PATTERN,
  options,
  pairs,
  text,
  textOrTexts,
  texts,
  ulimits,
} from './common.js';
import { deploy } from './deploy.js';
import { anything, either, leaf, list, map, object, type Shape, textLike, word } from './shape.js';

const build: Shape = either(
  text,
  object({
    context: text,
    dockerfile: text,
    dockerfile_inline: text,
    entitlements: texts,
    args: pairs,
    ssh: either(text, pairs),
    labels: pairs,
    cache_from: texts,
    cache_to: texts,
    no_cache: flag,
    no_cache_filter: textOrTexts,
    additional_contexts: pairs,
    network: text,
    provenance: flag,
    sbom: flag,
    pull: flag,
    target: text,
    shm_size: decimal,
    extra_hosts: extraHosts,
    isolation: text,
    privileged: flag,
    secrets: grants,
    tags: texts,
    ulimits,
    platforms: texts,
  }),
);

const deviceRates = list(object({ path: text, rate: integer }));

const blkio: Shape = object({
  device_read_bps: deviceRates,
  device_read_iops: deviceRates,
  device_write_bps: deviceRates,
  device_write_iops: deviceRates,
  weight: integer,
  weight_device: list(object({ path: text, weight: integer })),
});

const dependsOn: Shape = either(
  texts,
  map(
    object(
      {
        condition: word('service_started', 'service_healthy', 'service_completed_successfully'),
        restart: flag,
        required: flag,
      },
      ['condition'],
    ),
    NAME_PATTERN,
  ),
);

const develop: Shape = either(
  leaf('null'),
  object({
    watch: list(
      object(
        {
          path: text,
          action: word('rebuild', 'sync', 'restart', 'sync+restart', 'sync+exec'),
          target: text,
          ignore: textOrTexts,
          include: textOrTexts,
          exec: hook,
          initial_sync: flag,
        },
        ['path', 'action'],
      ),
    ),
  }),
);

const healthcheck: Shape = object({
  test: textOrTexts,
  interval: text,
  timeout: text,
  retries: integer,
  start_period: text,
  start_interval: text,
  disable: flag,
});

const networks: Shape = either(
  texts,
  map(
    either(
      leaf('null'),
      object({
        aliases: texts,
        interface_name: text,
        ipv4_address: text,
        ipv6_address: text,
        link_local_ips: texts,
        mac_address: text,
        driver_opts: options,
        priority: leaf('number'),
        gw_priority: leaf('number'),
      }),
    ),
    NAME_PATTERN,
  ),
);

const ports: Shape = list(
  either(
    leaf('number', 'string'),
    object({
      name: text,
      mode: text,
      host_ip: text,
      target: integer,
      published: integer,
      protocol: text,
      app_protocol: text,
    }),
  ),
);

const volumes: Shape = list(
  either(
    text,
    object(
      {
        type: word('bind', 'volume', 'tmpfs', 'cluster', 'npipe', 'image'),
        source: text,
        target: text,
        read_only: flag,
        consistency: text,
        bind: object({
          propagation: text,
          create_host_path: flag,
          recursive: word('enabled', 'disabled', 'writable', 'readonly'),
          selinux: word('z', 'Z'),
        }),
        volume: object({ labels: pairs, nocopy: flag, subpath: text }),
        tmpfs: object({ size: integer, mode: decimal }),
        image: object({ subpath: text }),
        cluster: object({}),
      },
      ['type'],
    ),
  ),
);

const envFile: Shape = either(text, list(either(text, object({ path: text, format: text, required: flag }, ['path']))));

/** The 92 keys of `services.*`. Source: Compose Specification, `compose-spec.json`. */
export const serviceKeys: Readonly<Record<string, Shape>> = {
  annotations: pairs,
  attach: flag,
  blkio_config: blkio,
  build,
  cap_add: texts,
  cap_drop: texts,
  cgroup: word('host', 'private'),
  cgroup_parent: text,
  command,
  configs: grants,
  container_name: textLike(/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/),
  cpu_count: integer,
  cpu_percent: decimal,
  cpu_period: decimal,
  cpu_quota: decimal,
  cpu_rt_period: decimal,
  cpu_rt_runtime: decimal,
  cpu_shares: decimal,
  cpus: decimal,
  cpuset: text,
  credential_spec: object({ config: text, file: text, registry: text }),
  depends_on: dependsOn,
  deploy,
  develop,
  device_cgroup_rules: texts,
  devices: list(either(text, object({ source: text, target: text, permissions: text }, ['source']))),
  dns: textOrTexts,
  dns_opt: texts,
  dns_search: textOrTexts,
  domainname: text,
  entrypoint: command,
  env_file: envFile,
  environment: pairs,
  expose: list(decimal),
  extends: either(text, object({ service: text, file: text }, ['service'])),
  external_links: texts,
  extra_hosts: extraHosts,
  gpus,
  group_add: list(decimal),
  healthcheck,
  hostname: text,
  image: text,
  init: flag,
  ipc: text,
  isolation: text,
  label_file: textOrTexts,
  labels: pairs,
  links: texts,
  logging: object({ driver: text, options: map(leaf('string', 'number', 'null')) }),
  mac_address: text,
  mem_limit: decimal,
  mem_reservation: integer,
  mem_swappiness: integer,
  memswap_limit: decimal,
  models: either(texts, map(either(leaf('null'), object({ endpoint_var: text, model_var: text })), NAME_PATTERN)),
  network_mode: text,
  networks,
  oom_kill_disable: flag,
  oom_score_adj: integer,
  pid: leaf('string', 'null'),
  pids_limit: decimal,
  platform: text,
  ports,
  post_start: list(hook),
  pre_stop: list(hook),
  privileged: flag,
  profiles: texts,
  provider: object({ type: text, options: map(anything) }, ['type']),
  pull_policy: textLike(
    /^(?:always|never|build|if_not_present|missing|refresh|daily|weekly|every_(?:[0-9]+[wdhms])+)$/,
  ),
  pull_refresh_after: text,
  read_only: flag,
  restart: text,
  runtime: text,
  scale: integer,
  secrets: grants,
  security_opt: texts,
  shm_size: decimal,
  stdin_open: flag,
  stop_grace_period: text,
  stop_signal: text,
  storage_opt: map(anything),
  sysctls: pairs,
  tmpfs: textOrTexts,
  tty: flag,
  ulimits,
  use_api_socket: flag,
  user: text,
  userns_mode: text,
  uts: text,
  volumes,
  volumes_from: texts,
  working_dir: text,
};
