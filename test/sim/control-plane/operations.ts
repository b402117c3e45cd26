import { type Control, isErrorCode, type Node, type ReadView, type Service, type ServiceSpec } from '@swarmd/model';
import type { Dice } from '../support/dice.js';
import { isRefusal } from '../support/script.js';
import { NETWORKS, randomImage, randomPlacement, randomSpec, randomUpdate } from '../support/service-specs.js';

/** The networks of the cluster at first: one that published ports lead into, one that containers may join anywhere. */
export const OVERLAYS = [
  { Name: 'ingress', Driver: 'overlay', Ingress: true },
  { Name: 'open', Driver: 'overlay', Attachable: true },
  ...NETWORKS,
];

/** Networks that come and go. */
const PASSING = ['passing1', 'passing2'];

/** What clients act on. */
export interface ClientWorld {
  dice: Dice;
  /** What clients know: as new as it gets. */
  view(): ReadView;
  /** Whether a marked write has taken effect. */
  happened(operation: string): boolean;
  note(text: string): void;
  report(problem: string): void;
}

/** Errors after which nobody can tell whether a write has taken effect. */
const UNKNOWN = ['unavailable', 'deadline-exceeded', 'aborted'] as const;

/** Clients that write through whichever manager they are given, and hold it to what it says. */
export class Clients {
  readonly #world: ClientWorld;
  #count = 0;
  acknowledged = 0;

  constructor(world: ClientWorld) {
    this.#world = world;
  }

  /** One random write through `control`, that of the manager `via`. */
  act(via: string, control: Control): void {
    const { dice } = this.#world;
    const services = [...this.#world.view().all('service')].filter(({ PendingDelete }) => !PendingDelete);
    const roll = dice.int(1, 100);
    if (roll <= 25 || services.length === 0) {
      if (services.length < 5) this.#create(via, control);
      return;
    }
    if (roll <= 80) this.#update(via, control, dice.pick(services));
    else if (roll <= 88) this.#remove(via, control, dice.pick(services));
    else if (roll <= 92) this.#network(via, control, dice.pick(PASSING));
    else this.#node(via, control, dice.pick([...this.#world.view().all('node')]));
  }

  #create(via: string, control: Control): void {
    const mark = this.#mark();
    const { dice } = this.#world;
    const spec = marked(networked(dice, randomSpec(dice, `s${dice.int(1, 9)}`), this.#world.view()), mark);
    this.#marked(`${via}: create ${JSON.stringify(spec)}`, mark, control.createService(spec, {}));
  }

  #update(via: string, control: Control, service: Service): void {
    const { dice } = this.#world;
    const { Spec } = service;
    if (dice.chance(0.1) && service.PreviousSpec !== undefined) {
      const options = { rollback: 'previous' } as const;
      const done = control.updateService(service.ID, service.Version.Index, Spec, options);
      this.#attempt(`${via}: rollback of ${Spec.Name}`, done, () => true);
      return;
    }
    const mark = this.#mark();
    const next = marked(changed(dice, Spec, this.#world.view()), mark);
    const version = service.Version.Index - (dice.chance(0.03) ? 1 : 0);
    const done = control.updateService(service.ID, version, next, {});
    this.#marked(`${via}: update of ${Spec.Name} to ${JSON.stringify(next)}`, mark, done);
  }

  #remove(via: string, control: Control, { ID, Spec }: Service): void {
    const removed = (): boolean => {
      const service = this.#world.view().get('service', ID);
      return service === undefined || Boolean(service.PendingDelete);
    };
    this.#attempt(`${via}: remove ${Spec.Name}`, control.removeService(ID), removed);
  }

  #node(via: string, control: Control, node: Node): void {
    const Availability = this.#world.dice.pick(['active', 'active', 'pause', 'drain'] as const);
    const done = control.updateNode(node.ID, node.Version.Index, { ...node.Spec, Availability });
    const moved = (): boolean =>
      Availability === node.Spec.Availability ||
      (this.#world.view().get('node', node.ID)?.Version.Index ?? 0) > node.Version.Index;
    this.#attempt(`${via}: ${node.ID} becomes ${Availability}`, done, moved);
  }

  /** Makes a network, or removes it. */
  #network(via: string, control: Control, name: string): void {
    const [network] = this.#world.view().find('network', 'name', name);
    if (network === undefined) {
      const made = control.createNetwork({ Name: name, Driver: 'overlay', Attachable: this.#world.dice.chance(0.3) });
      this.#attempt(`${via}: make network ${name}`, made, () => true);
    } else this.#attempt(`${via}: remove network ${name}`, control.removeNetwork(network.ID), () => true);
  }

  #mark(): string {
    return String(++this.#count);
  }

  /** A write that leaves its mark: acknowledged it is there, refused it is not. */
  #marked(what: string, mark: string, done: Promise<unknown>): void {
    this.#attempt(
      what,
      done,
      () => this.#world.happened(mark),
      () => !this.#world.happened(mark),
    );
  }

  #attempt(what: string, done: Promise<unknown>, happened: () => boolean, absent: () => boolean = () => true): void {
    const { note, report } = this.#world;
    const name = `${what.slice(0, 40)} (${this.#count})`;
    note(`> ${what}`);
    done.then(
      () => {
        this.acknowledged++;
        note(`done: ${name}`);
        if (!happened()) report(`it was acknowledged and is lost: ${what}`);
      },
      (error: unknown) => {
        note(`refused: ${name}: ${String(error)}`);
        if (!isRefusal(error)) report(`${what}: ${String((error as Error).stack)}`);
        else if (!isErrorCode(error, ...UNKNOWN) && !absent())
          report(`it was refused and took effect: ${what}: ${error}`);
      },
    );
  }
}

function marked(spec: ServiceSpec, operation: string): ServiceSpec {
  return { ...spec, Labels: { ...spec.Labels, operation } };
}

/** The same on up to two overlay networks, found by one virtual IP or by the addresses of all tasks. */
function networked(dice: Dice, spec: ServiceSpec, view: ReadView): ServiceSpec {
  const names = [...view.all('network')].filter(({ Spec }) => !Spec.Ingress).map(({ ID }) => ID);
  const count = dice.pick([0, 1, 1, 2]);
  const targets = new Set(Array.from({ length: count }, () => dice.pick(names)));
  const { Networks: _, ...template } = spec.TaskTemplate ?? {};
  const Networks = [...targets].map((Target) => ({ Target }));
  const ports = spec.EndpointSpec?.Ports ?? [];
  const roundRobin = ports.length === 0 && Networks.length > 0 && dice.chance(0.3);
  const { Mode: _mode, ...endpoint } = spec.EndpointSpec ?? {};
  return {
    ...spec,
    TaskTemplate: { ...template, ...(Networks.length > 0 ? { Networks } : {}) },
    EndpointSpec: { ...endpoint, ...(roundRobin ? { Mode: 'dnsrr' } : {}) },
  };
}

function changed(dice: Dice, spec: ServiceSpec, view: ReadView): ServiceSpec {
  const template = spec.TaskTemplate ?? {};
  const job = spec.Mode?.GlobalJob ?? spec.Mode?.ReplicatedJob;
  const kind = dice.pick(['scale', 'scale', 'image', 'image', 'force', 'placement', 'rules', 'networks']);
  if (kind === 'networks') return networked(dice, spec, view);
  if (kind === 'scale' && spec.Mode?.Replicated) return { ...spec, Mode: { Replicated: { Replicas: dice.int(0, 8) } } };
  if (kind === 'image') {
    const ContainerSpec = { ...template.ContainerSpec, Image: randomImage(dice) };
    return { ...spec, TaskTemplate: { ...template, ContainerSpec } };
  }
  if (kind === 'placement') return { ...spec, TaskTemplate: { ...template, Placement: randomPlacement(dice) } };
  if (kind === 'rules' && !job) return { ...spec, UpdateConfig: randomUpdate(dice) };
  return { ...spec, TaskTemplate: { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 } };
}
