import { existsSync } from 'node:fs';
import { createLab, type Host, importBusyboxImage, type Lab } from '@swarmd/testkit';
import { answers, SWARMD_SOCKET } from '../../e2e/support/cluster.js';
import { nodeState } from '../../e2e/support/observe.js';
import { waitFor } from '../../e2e/support/wait.js';
import { createKeeper, type Keeper } from './keeper.js';

/** One host of a {@link World}. */
export interface Place {
  readonly host: Host;
  readonly manager: boolean;
  readonly keeper: Keeper;
  /** Path of swarmd's API socket on this machine. */
  readonly socket: string;
}

/** A cluster on test hosts whose swarmds come back when they end, for tests that hurt it. */
export interface World extends AsyncDisposable {
  readonly lab: Lab;
  readonly places: readonly Place[];
  readonly managers: readonly Place[];
  place(name: string): Place;
  /** Whether {@link Keeper.setClock} works here. */
  readonly movesClocks: boolean;
}

/** How many hosts; the first ones become managers. */
export interface WorldOptions {
  managers: number;
  workers: number;
}

/** Enough for any run's logs and store, small enough to be filled in a moment. */
const DATA_DISK_MEGABYTES = 256;

const FAKE_TIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

/** Makes the hosts and forms the cluster; resolves once every node is ready in the eyes of every manager. */
export async function createWorld({ managers, workers }: WorldOptions): Promise<World> {
  const hosts = Array.from({ length: managers + workers }, () => ({ dataDiskMegabytes: DATA_DISK_MEGABYTES }));
  const lab = await createLab({ hosts });
  const fakeTime = existsSync(FAKE_TIME) ? FAKE_TIME : undefined;
  const places = lab.hosts.map((host, index) => ({
    host,
    manager: index < managers,
    keeper: createKeeper(lab, host, fakeTime),
    socket: host.path(SWARMD_SOCKET),
  }));
  const world: World = {
    lab,
    places,
    managers: places.filter(({ manager }) => manager),
    place: (name) => places.find(({ host }) => host.name === name)!,
    movesClocks: fakeTime !== undefined,
    [Symbol.asyncDispose]: async () => {
      // Ends the keepers, which would hold the process; the processes themselves go with the lab.
      await Promise.all(places.map(({ keeper }) => keeper.drop()));
      await lab.destroy();
    },
  };
  try {
    for (const { keeper } of places) keeper.keep();
    await Promise.all(places.map(({ host }) => importBusyboxImage(host)));
    await Promise.all(places.map((place) => waitUntilAnswers(place)));
    await form(world);
    return world;
  } catch (error) {
    const logs = places.map(({ host, keeper }) => `${host.name}:\n${keeper.log.slice(-1_500)}`).join('\n');
    await world[Symbol.asyncDispose]();
    throw new Error(`the cluster could not be formed:\n${logs}`, { cause: error });
  }
}

/** Resolves once the swarmd of a host answers its API. */
export async function waitUntilAnswers({ host }: Place): Promise<void> {
  await waitFor(`swarmd on ${host.name} answers`, async () => host.running && (await answers(host, '/_ping')));
}

/** Resolves once every manager has every node as ready. */
export async function waitUntilReady({ managers, places }: World): Promise<void> {
  let seen: string[] = [];
  await waitFor(
    'every manager has every node as ready',
    async () => {
      const asked = managers.flatMap((manager) =>
        places.map(async ({ host }) => {
          const state = await nodeState(manager.host, host.name).catch((error: Error) => error.message);
          return `${manager.host.name} of ${host.name}: ${state}`;
        }),
      );
      seen = await Promise.all(asked);
      return seen.every((line) => line.endsWith(': ready'));
    },
    { timeoutMs: 180_000, everyMs: 250, describe: () => seen.join('\n') },
  );
}

async function form(world: World): Promise<void> {
  const docker = (host: Host, ...args: string[]): Promise<string> =>
    host.run(['docker', '-H', `unix://${SWARMD_SOCKET}`, ...args], { timeoutMs: 120_000 });
  const [first, ...others] = world.places as [Place, ...Place[]];
  await docker(first.host, 'swarm', 'init', '--advertise-addr', first.host.ip);
  for (const { host, manager } of others) {
    const token = await docker(first.host, 'swarm', 'join-token', '-q', manager ? 'manager' : 'worker');
    const address = `${first.host.ip}:2377`;
    await docker(host, 'swarm', 'join', '--token', token.trim(), '--advertise-addr', host.ip, address);
  }
  await waitUntilReady(world);
}
