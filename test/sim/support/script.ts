import { type Control, type Node, type Service, type ServiceSpec, type Store, SwarmdError } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import type { Dice } from './dice.js';
import { randomImage, randomPlacement, randomSpec, randomUpdate, ZONES } from './service-specs.js';

/** What a script acts on. */
export interface ScriptWorld {
  dice: Dice;
  store(): Store;
  control(): Control;
  nodeIds(): readonly string[];
  addNode(): void;
  /** Takes a node's power or network away, for a while or for good. */
  trouble(nodeId: string, kind: 'power' | 'network', forMs: number): void;
  forget(nodeId: string): void;
  restart(kind: 'loops' | 'manager' | 'crash'): void;
  jumpWall(ms: number): void;
  step(text: string): void;
  /** Something that the cluster is to do and may refuse; it does not have to be waited for. */
  attempt(what: string, done: Promise<unknown>): void;
}

/** A node as it joins: some with less room, in one of two zones. */
export function randomNode(dice: Dice, id: string): ReturnType<typeof buildNode> {
  const node = buildNode(id);
  const Resources = { NanoCPUs: dice.int(2, 8) * 1e9, MemoryBytes: 8 * 2 ** 30 };
  return {
    ...node,
    Spec: { ...node.Spec, Labels: { zone: dice.pick(ZONES) } },
    Description: { ...node.Description!, Resources },
  };
}

/** One random thing that users, operators or fate do to a cluster. `turmoil` adds restarts and jumps of the clock. */
export function act(world: ScriptWorld, turmoil: boolean): void {
  const { dice } = world;
  const services = [...world.store().view.all('service')].filter((service) => !service.PendingDelete);
  const roll = dice.int(1, 100);
  if (roll <= 15 || services.length === 0) create(world, services);
  else if (roll <= 25) scale(world, dice.pick(services));
  else if (roll <= 45) update(world, dice.pick(services));
  else if (roll <= 50) rollBack(world, dice.pick(services));
  else if (roll <= 56) remove(world, dice.pick(services));
  else if (roll <= 70) changeNode(world);
  else if (roll <= 84) breakNode(world);
  else if (roll <= 87) removeNode(world);
  else if (roll <= 90 || !turmoil) world.addNode();
  else if (roll <= 98) restart(world);
  else jump(world);
}

function create(world: ScriptWorld, services: readonly Service[]): void {
  if (services.length >= 5) return;
  const spec = randomSpec(world.dice, `s${world.dice.int(1, 9)}`);
  world.attempt(`create ${JSON.stringify(spec)}`, world.control().createService(spec, {}));
}

function write(world: ScriptWorld, service: Service, what: string, spec: ServiceSpec): void {
  const version = service.Version.Index - (world.dice.chance(0.03) ? 1 : 0);
  world.attempt(`${what} of ${spec.Name}`, world.control().updateService(service.ID, version, spec, {}));
}

function scale(world: ScriptWorld, service: Service): void {
  const mode = service.Spec.Mode;
  if (mode?.Replicated) {
    const Replicas = world.dice.int(0, 8);
    write(world, service, `scale to ${Replicas}`, { ...service.Spec, Mode: { Replicated: { Replicas } } });
  } else update(world, service);
}

function update(world: ScriptWorld, service: Service): void {
  const { dice } = world;
  const { Spec } = service;
  const template = Spec.TaskTemplate ?? {};
  const kind = dice.pick(['image', 'image', 'image', 'force', 'placement', 'labels', 'rules', 'ports', 'everything']);
  const next: ServiceSpec = { ...Spec };
  if (kind === 'image' || kind === 'everything') {
    const Image = randomImage(dice);
    next.TaskTemplate = { ...template, ContainerSpec: { ...template.ContainerSpec, Image } };
  } else if (kind === 'force') next.TaskTemplate = { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 };
  else if (kind === 'placement') next.TaskTemplate = { ...template, Placement: randomPlacement(dice) };
  else if (kind === 'labels') next.Labels = { colour: dice.pick(['red', 'green', 'blue']) };
  else if (kind === 'ports') {
    next.EndpointSpec = dice.chance(0.5) ? {} : { Ports: [{ TargetPort: dice.int(80, 82), PublishMode: 'ingress' }] };
  }
  const job = Spec.Mode?.GlobalJob ?? Spec.Mode?.ReplicatedJob;
  if ((kind === 'rules' || kind === 'everything') && !job) next.UpdateConfig = randomUpdate(dice);
  if (kind === 'everything' && Spec.Mode?.Replicated) next.Mode = { Replicated: { Replicas: dice.int(1, 7) } };
  const image = next.TaskTemplate?.ContainerSpec?.Image;
  write(world, service, `update (${kind}, ${image}, ${JSON.stringify(next.UpdateConfig ?? {})})`, next);
}

function rollBack(world: ScriptWorld, service: Service): void {
  const done = world.control().updateService(service.ID, service.Version.Index, service.Spec, { rollback: 'previous' });
  world.attempt(`rollback of ${service.Spec.Name}`, done);
}

function remove(world: ScriptWorld, service: Service): void {
  world.attempt(`remove ${service.Spec.Name}`, world.control().removeService(service.ID));
}

function changeNode(world: ScriptWorld): void {
  const { dice } = world;
  const node = world.store().view.get('node', dice.pick(world.nodeIds()));
  if (node === undefined) return;
  if (dice.chance(0.25)) {
    resize(world, node);
    return;
  }
  const spec: Node['Spec'] = { ...node.Spec };
  if (dice.chance(0.35)) spec.Labels = { zone: dice.pick(ZONES) };
  else spec.Availability = dice.pick(['active', 'active', 'pause', 'drain']);
  const done = world.control().updateNode(node.ID, node.Version.Index, spec);
  world.attempt(`${node.ID} becomes ${spec.Availability} in zone ${spec.Labels?.['zone']}`, done);
}

function resize(world: ScriptWorld, node: Node): void {
  const NanoCPUs = world.dice.int(1, 8) * 1e9;
  const done = world.store().update((tx) => {
    const present = tx.get('node', node.ID);
    if (present?.Description === undefined) return;
    const { Resources } = present.Description;
    tx.put('node', { ...present, Description: { ...present.Description, Resources: { ...Resources, NanoCPUs } } });
  });
  world.attempt(`${node.ID} has ${NanoCPUs / 1e9} cores`, done);
}

function breakNode(world: ScriptWorld): void {
  const { dice } = world;
  const kind = dice.pick(['power', 'network'] as const);
  // Half of them come back before anyone has noticed.
  const forMs = dice.chance(0.5) ? dice.int(100, 5_000) : dice.int(10_000, 60_000);
  world.trouble(dice.pick(world.nodeIds()), kind, forMs);
}

function removeNode(world: ScriptWorld): void {
  const nodeIds = world.nodeIds();
  if (nodeIds.length <= 2) return;
  const nodeId = world.dice.pick(nodeIds);
  const done = world
    .control()
    .removeNode(nodeId, world.dice.chance(0.7))
    .then(() => world.forget(nodeId));
  world.attempt(`remove node ${nodeId}`, done);
}

function restart(world: ScriptWorld): void {
  world.restart(world.dice.pick(['loops', 'manager', 'crash']));
}

function jump(world: ScriptWorld): void {
  const ms = world.dice.pick([-3_600_000, -90_000, -2_000, 2_000, 90_000]);
  world.step(`the wall clock jumps by ${ms} ms`);
  world.jumpWall(ms);
}

/** Whether a refusal is one that users must live with. */
export function isRefusal(error: unknown): boolean {
  return error instanceof SwarmdError && error.code !== 'internal';
}
