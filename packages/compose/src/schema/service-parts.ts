import {
  decimal,
  extraHosts,
  flag,
  grants,
  hook,
  integer,
  NAME_PATTERN,
  names,
  options,
  pairs,
  text,
  textOrTexts,
  texts,
  ulimits,
} from './common.js';
import { distinctList, either, leaf, list, map, object, type Shape, word } from './shape.js';

/** `build`: how an image is made. */
export const build: Shape = either(
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

/** `blkio_config`. */
export const blkio: Shape = object({
  device_read_bps: deviceRates,
  device_read_iops: deviceRates,
  device_write_bps: deviceRates,
  device_write_iops: deviceRates,
  weight: integer,
  weight_device: list(object({ path: text, weight: integer })),
});

/** `depends_on`, by name or with conditions. */
export const dependsOn: Shape = either(
  names,
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

/** `develop`. */
export const develop: Shape = either(
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

/** `healthcheck`. */
export const healthcheck: Shape = object({
  test: either(text, texts),
  interval: text,
  timeout: text,
  retries: integer,
  start_period: text,
  start_interval: text,
  disable: flag,
});

/** `networks` of a service. */
export const networks: Shape = either(
  names,
  map(
    either(
      leaf('null'),
      object({
        aliases: names,
        interface_name: text,
        ipv4_address: text,
        ipv6_address: text,
        link_local_ips: names,
        mac_address: text,
        driver_opts: options,
        priority: leaf('number'),
        gw_priority: leaf('number'),
      }),
    ),
    NAME_PATTERN,
  ),
);

/** `ports`. */
export const ports: Shape = distinctList(
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

/** `volumes` of a service. */
export const volumes: Shape = distinctList(
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

/** `env_file`. */
export const envFile: Shape = either(
  text,
  list(either(text, object({ path: text, format: text, required: flag }, ['path']))),
);
