import { composeError } from '../problem.js';
import { defined, type Reader } from './reader.js';
import type { Deploy, Rollout } from './types.js';

/** `services.*.deploy`, with types cast. */
export function readDeploy(deploy: Reader): Deploy {
  const placement = deploy.at('placement');
  const restart = deploy.at('restart_policy');
  return defined({
    mode: deploy.text('mode'),
    endpointMode: deploy.text('endpoint_mode')?.toLowerCase(),
    replicas: natural(deploy, 'replicas'),
    labels: deploy.labels('labels'),
    updateConfig: deploy.has('update_config') ? readRollout(deploy.at('update_config')) : undefined,
    rollbackConfig: deploy.has('rollback_config') ? readRollout(deploy.at('rollback_config')) : undefined,
    limits: readLimits(deploy.at('resources')),
    reservations: readReservations(deploy.at('resources')),
    restartPolicy: deploy.has('restart_policy')
      ? defined({
          condition: restart.text('condition'),
          delayNs: restart.durationNs('delay'),
          maxAttempts: natural(restart, 'max_attempts'),
          windowNs: restart.durationNs('window'),
        })
      : undefined,
    placement: defined({
      constraints: placement.texts('constraints'),
      spreadOver: placement.items('preferences').flatMap((preference) => preference.text('spread') ?? []),
      maxReplicasPerNode: natural(placement, 'max_replicas_per_node'),
    }),
  });
}

function readRollout(rollout: Reader): Rollout {
  return defined({
    parallelism: natural(rollout, 'parallelism'),
    delayNs: rollout.durationNs('delay'),
    failureAction: rollout.text('failure_action'),
    monitorNs: rollout.durationNs('monitor'),
    maxFailureRatio: rollout.decimal('max_failure_ratio'),
    order: rollout.text('order'),
  });
}

function readLimits(resources: Reader): Deploy['limits'] {
  if (!resources.has('limits')) return undefined;
  const limits = resources.at('limits');
  return defined({
    nanoCpus: limits.nanoCpus('cpus'),
    memoryBytes: limits.bytes('memory'),
    pids: limits.integer('pids'),
  });
}

function readReservations(resources: Reader): Deploy['reservations'] {
  if (!resources.has('reservations')) return undefined;
  const reservations = resources.at('reservations');
  return defined({
    nanoCpus: reservations.nanoCpus('cpus'),
    memoryBytes: reservations.bytes('memory'),
    genericResources: reservations.items('generic_resources').map((item) => {
      const spec = item.at('discrete_resource_spec');
      return { kind: spec.text('kind') ?? '', value: spec.integer('value') ?? 0 };
    }),
    devices: reservations.items('devices').map((item) => item.plain()),
  });
}

function natural(reader: Reader, key: string): number | undefined {
  const value = reader.integer(key);
  if (value !== undefined && value < 0) {
    const at = reader.at(key);
    throw composeError(at.path, `${value} is negative`, at.node?.at);
  }
  return value;
}
