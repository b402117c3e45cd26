import { external, flag, NAME_PATTERN, options, pairs, text, textOrTexts, texts } from './common.js';
import { serviceKeys } from './service.js';
import { either, leaf, list, map, object, type Shape } from './shape.js';

const include: Shape = list(
  either(text, object({ path: textOrTexts, env_file: textOrTexts, project_directory: text })),
);

const network: Shape = either(
  leaf('null'),
  object({
    name: text,
    driver: text,
    driver_opts: options,
    ipam: object({
      driver: text,
      config: list(object({ subnet: text, ip_range: text, gateway: text, aux_addresses: map(text) })),
      options: map(text),
    }),
    external,
    internal: flag,
    enable_ipv4: flag,
    enable_ipv6: flag,
    attachable: flag,
    labels: pairs,
  }),
);

const volume: Shape = either(
  leaf('null'),
  object({ name: text, driver: text, driver_opts: options, external, labels: pairs }),
);

const secret: Shape = object({
  name: text,
  environment: text,
  file: text,
  external,
  labels: pairs,
  driver: text,
  driver_opts: options,
  template_driver: text,
});

const config: Shape = object({
  name: text,
  content: text,
  environment: text,
  file: text,
  external,
  labels: pairs,
  template_driver: text,
});

const model: Shape = object({ name: text, model: text, context_size: leaf('integer'), runtime_flags: texts }, [
  'model',
]);

/** A whole Compose file. Source: Compose Specification, `compose-spec.json`. */
export const composeFile: Shape = object({
  version: leaf('string', 'number'),
  name: text,
  include,
  services: map(object(serviceKeys), NAME_PATTERN),
  models: map(model, NAME_PATTERN),
  networks: map(network, NAME_PATTERN),
  volumes: map(volume, NAME_PATTERN),
  secrets: map(secret, NAME_PATTERN),
  configs: map(config, NAME_PATTERN),
});
