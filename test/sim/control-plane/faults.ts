import type { SharedMemory } from '@swarmd/store';
import type { ManualClock } from '@swarmd/testkit';
import type { Dice } from '../support/dice.js';
import type { AgentHost } from './agent-host.js';
import type { ManagerHost } from './manager-host.js';
import { LOG, type Network } from './network.js';
import type { LogFaults } from './shared-log.js';

/** What faults befall. */
export interface FaultWorld {
  clock: ManualClock;
  dice: Dice;
  network: Network;
  memory: SharedMemory;
  log: LogFaults;
  managers: readonly ManagerHost[];
  agents: ReadonlyMap<string, AgentHost>;
  /** The manager that the log says leads. */
  leader(): ManagerHost | undefined;
  /** Who hears whom is about to change, or has. */
  sample(): void;
  /** A node's swarmd-net has lost its state. */
  forgot(node: string): void;
  compacted(): void;
  clockJumped(ms: number): void;
  note(text: string): void;
}

type Fault = (world: FaultWorld, target: { manager: ManagerHost; agent: AgentHost; forMs: number }) => string;

function later(world: FaultWorld, ms: number, what: string, undo: () => void): void {
  world.clock.after(ms, () => {
    world.note(`over: ${what}`);
    world.sample();
    undo();
    world.sample();
  });
}

/** Does `begin`, and `end` some time later. */
function lasting(world: FaultWorld, forMs: number, what: string, begin: () => void, end: () => void): string {
  world.sample();
  begin();
  world.sample();
  later(world, forMs, what, end);
  return `${what}, for ${forMs} ms`;
}

function switched(world: FaultWorld, forMs: number, what: string, turn: (on: boolean) => void): string {
  return lasting(
    world,
    forMs,
    what,
    () => turn(true),
    () => turn(false),
  );
}

function cuts(world: FaultWorld, forMs: number, from: string, others: readonly string[]): string {
  const { network } = world;
  return lasting(
    world,
    forMs,
    `${from} is cut off from ${others.join(', ')}`,
    () => {
      for (const other of others) network.cut(from, other);
    },
    () => {
      for (const other of others) network.mend(from, other);
    },
  );
}

function others(world: FaultWorld, id: string): string[] {
  return world.managers.map((manager) => manager.id).filter((other) => other !== id);
}

const FAULTS: readonly Fault[] = [
  (world, { manager, forMs }) =>
    lasting(
      world,
      forMs,
      `manager ${manager.id} crashes`,
      () => manager.crash(),
      () => manager.boot(),
    ),
  (world, { manager, forMs }) =>
    lasting(
      world,
      forMs,
      `manager ${manager.id} stops in order`,
      () => manager.stop(),
      () => manager.boot(),
    ),
  (world, { manager: { id, process }, forMs }) =>
    lasting(
      world,
      forMs,
      `manager ${id} stands still`,
      () => process.pause(),
      () => process.wake(),
    ),
  (world, { manager: { id }, forMs }) => cuts(world, forMs, id, [LOG]),
  (world, { manager: { id }, forMs }) => cuts(world, forMs, id, others(world, id)),
  (world, { manager: { id }, forMs }) => cuts(world, forMs, id, [world.dice.pick(others(world, id))]),
  (world, { manager: { id }, forMs }) =>
    cuts(
      world,
      forMs,
      id,
      [...world.agents.keys()].filter((agent) => agent !== id),
    ),
  (world, { manager: { id }, forMs }) =>
    cuts(world, forMs, id, [LOG, ...[...world.agents.keys()].filter((agent) => agent !== id)]),
  (world, { agent, forMs }) =>
    cuts(
      world,
      forMs,
      agent.id,
      world.managers.map(({ id }) => id).filter((id) => id !== agent.id),
    ),
  (world, { agent, forMs }) =>
    lasting(
      world,
      forMs,
      `agent ${agent.id} crashes`,
      () => agent.crash(),
      () => agent.boot(),
    ),
  (world, { agent, forMs }) => {
    const manager = world.managers.find(({ id }) => id === agent.id);
    const lose = (): void => {
      agent.crash();
      agent.swarmdNet.crash();
      agent.engine.losePower();
      manager?.crash();
    };
    const boot = (): void => {
      agent.swarmdNet.boot((id) => agent.engine.hasEndpoint(id));
      agent.boot();
      manager?.boot();
    };
    return lasting(world, forMs, `host ${agent.id} loses power`, lose, boot);
  },
  (world, { agent: { id, engine }, forMs }) =>
    lasting(
      world,
      forMs,
      `the engine of ${id} hangs`,
      () => engine.hang(),
      () => engine.unhang(),
    ),
  (world, { agent, forMs }) =>
    lasting(
      world,
      forMs,
      `the engine of ${agent.id} is restarted`,
      () => agent.stopEngine(),
      () => agent.startEngine(),
    ),
  (world, { agent: { id, engine }, forMs }) =>
    switched(world, forMs, `the disk of ${id} is full`, (on) => {
      engine.full = on;
    }),
  (world, { agent: { id, engine, swarmdNet }, forMs }) => {
    const loses = world.dice.chance(0.4);
    const boot = (): void => {
      if (loses) world.forgot(id);
      swarmdNet.boot((endpoint) => engine.hasEndpoint(endpoint), loses);
    };
    const what = loses ? `swarmd-net of ${id} loses its state` : `swarmd-net of ${id} is away`;
    return lasting(world, loses ? 500 : forMs, what, () => swarmdNet.crash(), boot);
  },
  (world, { agent, forMs }) => {
    const begin = (): void => {
      agent.crash();
      agent.swarmdNet.crash();
    };
    const end = (): void => {
      agent.boot();
      world.clock.after(10 * world.dice.int(0, 100), () =>
        agent.swarmdNet.boot((endpoint) => agent.engine.hasEndpoint(endpoint)),
      );
    };
    return lasting(world, forMs, `all of swarmd on ${agent.id} is replaced`, begin, end);
  },
  (world, { agent: { id, swarmdNet }, forMs }) =>
    switched(world, forMs, `swarmd-net of ${id} is slow`, (on) => {
      swarmdNet.busy = on;
    }),
  (world, { forMs }) =>
    switched(world, forMs, 'the log has no space left', (on) => {
      world.log.full = on;
    }),
  (world, { manager }) => {
    const ms = world.dice.pick([-20_000, -2_000, 2_000, 20_000]);
    manager.jumpWall(ms);
    world.clockJumped(ms);
    return `the clock of ${manager.id} jumps by ${ms} ms`;
  },
  (world, { forMs }) =>
    switched(world, forMs, 'messages are slow, and overtake each other', (on) => {
      world.network.slow = on;
    }),
  (world) => {
    world.memory.compact();
    world.compacted();
    return 'the log forgets its events';
  },
];

/** One random fault; half of those of managers befall the leader. */
export function befall(world: FaultWorld): void {
  const { dice } = world;
  const leader = dice.chance(0.5) ? world.leader() : undefined;
  const manager = leader ?? dice.pick(world.managers);
  const agent = dice.pick([...world.agents.values()]);
  const forMs = 10 * dice.int(20, dice.chance(0.4) ? 700 : 200);
  world.note(`! ${dice.pick(FAULTS)(world, { manager, agent, forMs })}`);
}
