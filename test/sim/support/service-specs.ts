import type { ServiceSpec, UpdateConfig } from '@swarmd/model';
import type { Dice } from './dice.js';

const SECOND_NS = 1_000_000_000;

/** Labels that nodes carry and services ask for. */
export const ZONES = ['a', 'b'] as const;

/** Networks that services may be on: one has fewer addresses than they may want. */
export const NETWORKS = [
  { Name: 'wide', Driver: 'overlay' },
  { Name: 'narrow', Driver: 'overlay', IPAM: { Config: [{ Subnet: '10.9.0.0/28' }] } },
];

/** A random service: small enough to be looked at by eye, and with every option that the loops treat specially. */
export function randomSpec(dice: Dice, name: string): ServiceSpec {
  const { chance, int, pick } = dice;
  const job = chance(0.15);
  const global = chance(0.2);
  const spec: ServiceSpec = {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: randomImage(dice) },
      ...(chance(0.4) ? { Resources: { Reservations: { NanoCPUs: pick([1, 2]) * 1e9 } } } : {}),
      ...(chance(0.5) || job ? { RestartPolicy: randomRestart(dice) } : {}),
      ...(chance(0.4) ? { Placement: randomPlacement(dice) } : {}),
    },
    Mode: randomMode(dice, job, global),
  };
  if (!job && chance(0.7)) spec.UpdateConfig = randomUpdate(dice);
  if (!job && chance(0.4)) spec.RollbackConfig = randomUpdate(dice);
  if (!job && chance(0.4)) spec.EndpointSpec = randomEndpoint(dice, name);
  const networks = NETWORKS.filter((_, at) => chance(at === 0 ? 0.4 : 0.15)).map(({ Name }) => ({ Target: Name }));
  if (networks.length > 0) spec.TaskTemplate = { ...spec.TaskTemplate, Networks: networks };
  if (int(0, 3) === 0) spec.Labels = { colour: pick(['red', 'blue']) };
  return spec;
}

/** Tasks of `bad` images fail while there is trouble. */
export function randomImage({ chance, int }: Dice): string {
  return `${chance(0.25) ? 'bad' : 'good'}:${int(1, 9)}`;
}

function randomMode({ int }: Dice, job: boolean, global: boolean): ServiceSpec['Mode'] {
  if (job && global) return { GlobalJob: {} };
  if (global) return { Global: {} };
  if (job) return { ReplicatedJob: { MaxConcurrent: int(1, 3), TotalCompletions: int(1, 5) } };
  return { Replicated: { Replicas: int(0, 7) } };
}

function randomRestart({
  chance,
  pick,
  int,
}: Dice): NonNullable<NonNullable<ServiceSpec['TaskTemplate']>['RestartPolicy']> {
  return {
    Condition: pick(['any', 'any', 'any', 'on-failure', 'none']),
    ...(chance(0.5) ? { Delay: pick([0, 1, 3]) * SECOND_NS } : {}),
    ...(chance(0.3) ? { MaxAttempts: int(1, 4) } : {}),
    ...(chance(0.2) ? { Window: 20 * SECOND_NS } : {}),
  };
}

/** Random placement rules. */
export function randomPlacement({ chance, pick, int }: Dice): NonNullable<ServiceSpec['TaskTemplate']>['Placement'] {
  return {
    ...(chance(0.7) ? { Constraints: [`node.labels.zone${pick(['==', '!='])}${pick(ZONES)}`] } : {}),
    ...(chance(0.3) ? { MaxReplicas: int(1, 3) } : {}),
  };
}

/** Random update (or rollback) rules. */
export function randomUpdate({ chance, pick, int }: Dice): UpdateConfig {
  return {
    Parallelism: int(0, 3),
    ...(chance(0.3) ? { Delay: int(1, 3) * SECOND_NS } : {}),
    ...(chance(0.5) ? { Monitor: pick([0, 1, 4]) * SECOND_NS } : {}),
    FailureAction: pick(['pause', 'continue', 'rollback']),
    MaxFailureRatio: pick([0, 0, 0.3, 1]),
    Order: pick(['stop-first', 'stop-first', 'start-first']),
  };
}

function randomEndpoint({ chance, int }: Dice, name: string): ServiceSpec['EndpointSpec'] {
  if (chance(0.3)) return { Ports: [{ TargetPort: 80, PublishedPort: 8000 + int(0, 3), PublishMode: 'host' }] };
  const fixed = chance(0.3) ? { PublishedPort: 30_000 + int(0, 3) } : {};
  return { Ports: [{ TargetPort: 80, PublishMode: 'ingress', Name: name, ...fixed }] };
}
