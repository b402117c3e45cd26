import { type Control, isErrorCode, type Node, type ReadView, type Service, type ServiceSpec } from '@swarmd/model';
import type { Dice } from '../support/dice.js';
import { isRefusal } from '../support/script.js';
import { randomImage, randomPlacement, randomSpec, randomUpdate } from '../support/service-specs.js';

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
    else if (roll <= 90) this.#remove(via, control, dice.pick(services));
    else this.#node(via, control, dice.pick([...this.#world.view().all('node')]));
  }

  #create(via: string, control: Control): void {
    const mark = this.#mark();
    const spec = marked(randomSpec(this.#world.dice, `s${this.#world.dice.int(1, 9)}`), mark);
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
    const next = marked(changed(dice, Spec), mark);
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

function changed(dice: Dice, spec: ServiceSpec): ServiceSpec {
  const template = spec.TaskTemplate ?? {};
  const job = spec.Mode?.GlobalJob ?? spec.Mode?.ReplicatedJob;
  const kind = dice.pick(['scale', 'scale', 'image', 'image', 'force', 'placement', 'rules']);
  if (kind === 'scale' && spec.Mode?.Replicated) return { ...spec, Mode: { Replicated: { Replicas: dice.int(0, 8) } } };
  if (kind === 'image') {
    const ContainerSpec = { ...template.ContainerSpec, Image: randomImage(dice) };
    return { ...spec, TaskTemplate: { ...template, ContainerSpec } };
  }
  if (kind === 'placement') return { ...spec, TaskTemplate: { ...template, Placement: randomPlacement(dice) } };
  if (kind === 'rules' && !job) return { ...spec, UpdateConfig: randomUpdate(dice) };
  return { ...spec, TaskTemplate: { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 } };
}
