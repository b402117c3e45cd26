import { join } from 'node:path';
import { connectEngine } from '@swarmd/agent';
import { asSwarmdError, type CleanupOptions, type CleanupReport, NETWORK_DRIVER, SwarmdError } from '@swarmd/model';
import { findLeftovers, runCommand } from '@swarmd/network';
import type { DaemonConfig } from './config.js';
import { nodeNetworks } from './network-process.js';

/** swarmd-net may take this long to take everything down. */
const STATUS_TIMEOUT_MS = 5_000;

type Item = CleanupReport['Items'][number];
interface Found {
  kind: string;
  name: string;
  remove(): Promise<string>;
}

const IN_CLUSTER =
  'this node is in a cluster, and its networks are in use: leave first (swarmctl leave), or force it: they come back as swarmd needs them';

/**
 * What of swarmd's networks is on this host; with `remove` it is taken away: the engine's networks first, then what
 * swarmd-net made, by itself where it answers, then whatever is left. `failed-precondition` while the node is `inCluster`
 * and nothing is forced.
 */
export async function cleanUp(
  config: Pick<DaemonConfig, 'runDir' | 'dataDir' | 'engineSocket'>,
  { remove, force }: CleanupOptions,
  inCluster: boolean,
): Promise<CleanupReport> {
  if (remove && inCluster && !force) throw new SwarmdError('failed-precondition', IN_CLUSTER);
  const places = { runDir: config.runDir, stateDir: join(config.dataDir, 'net') };
  const answers = await nodeNetworks(config)
    .status(AbortSignal.timeout(STATUS_TIMEOUT_MS))
    .then(
      () => true,
      () => false,
    );
  // The state of one that runs is its own: it is emptied, and its file stays.
  const ours = async (): Promise<Found[]> =>
    (await findLeftovers(runCommand, places)).filter(({ kind }) => kind !== 'state' || !answers);
  const networks = await engineNetworks(config);
  const found = [...networks, ...(await ours())];
  if (!remove) return { Removed: false, Items: found.map((item) => shown(item, false, '')) };
  const items = await removeAll(networks);
  if (answers) await nodeNetworks(config).reset();
  const left = new Map((await ours()).map((item) => [keyOf(item), item]));
  for (const item of found.slice(networks.length)) {
    const still = left.get(keyOf(item));
    items.push(...(still === undefined ? [shown(item, true, '')] : await removeAll([still])));
  }
  return { Removed: true, Items: items };
}

async function engineNetworks({ engineSocket }: Pick<DaemonConfig, 'engineSocket'>): Promise<Found[]> {
  try {
    const { docker } = await connectEngine(engineSocket);
    const networks = await docker.listNetworks({ filters: { driver: [NETWORK_DRIVER] } });
    return networks.map(({ Id, Name }) => ({
      kind: 'network',
      name: `${Name} (${Id.slice(0, 12)})`,
      remove: () =>
        docker
          .getNetwork(Id)
          .remove()
          .then(
            () => '',
            (error: unknown) => asSwarmdError(error).message,
          ),
    }));
  } catch (thrown) {
    const remove = async (): Promise<string> => asSwarmdError(thrown).message;
    return [{ kind: 'network', name: '(the engine does not answer: its networks are not known)', remove }];
  }
}

async function removeAll(found: readonly Found[]): Promise<Item[]> {
  const items: Item[] = [];
  for (const item of found) {
    const error = await item.remove();
    items.push(shown(item, error === '', error));
  }
  return items;
}

function shown({ kind, name }: Found, Removed: boolean, error: string): Item {
  return { Kind: kind, Name: name, Removed, Error: error };
}

function keyOf({ kind, name }: Found): string {
  return `${kind} ${name}`;
}
