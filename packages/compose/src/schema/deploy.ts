import { decimal, devices, integer, pairs, text, texts } from './common.js';
import { either, leaf, list, object, type Shape, word } from './shape.js';

const rollout = object({
  parallelism: integer,
  delay: text,
  failure_action: text,
  monitor: text,
  max_failure_ratio: decimal,
  order: word('start-first', 'stop-first'),
});

const genericResources = list(object({ discrete_resource_spec: object({ kind: text, value: decimal }) }));

/** `services.*.deploy`. Source: Compose Deploy Specification. */
export const deploy: Shape = either(
  leaf('null'),
  object({
    mode: text,
    endpoint_mode: text,
    replicas: integer,
    labels: pairs,
    update_config: rollout,
    rollback_config: rollout,
    resources: object({
      limits: object({ cpus: decimal, memory: text, pids: integer }),
      reservations: object({ cpus: decimal, memory: text, generic_resources: genericResources, devices }),
    }),
    restart_policy: object({ condition: text, delay: text, max_attempts: integer, window: text }),
    placement: object({
      constraints: texts,
      preferences: list(object({ spread: text })),
      max_replicas_per_node: integer,
    }),
  }),
);
