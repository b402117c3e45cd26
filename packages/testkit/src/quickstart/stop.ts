import { rmSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { tryRun } from '../hosts/command.js';
import { engineAnswers } from '../hosts/engine.js';
import { callEngine } from '../hosts/engine-api.js';
import { attachLab } from '../hosts/lab.js';
import { isAlive, until } from '../hosts/processes.js';
import { loadLab } from '../hosts/state.js';
import { stopMachineEngine } from './engine.js';
import { exampleImage } from './images.js';
import { type Notes, readNotes } from './notes.js';
import { notesFile } from './one-node.js';
import { type Places, placesOfUser } from './places.js';
import type { Screen } from './screen.js';
import { answers, stopSwarmd, stopSwarmdNet, trySwarmctl } from './swarmd.js';

/** Carried by every container and network that swarmd makes for a cluster. */
const clusterLabel = 'com.swarmd.cluster.id';
const leaveTimeoutMs = 120_000;

/** Stops and removes all that earlier runs of the quickstart made for this user, and nothing else. */
export async function stopQuickstart(screen: Screen, labName: string): Promise<void> {
  const places = placesOfUser();
  const notes = readNotes(notesFile(places));
  const lab = loadLab(labName);
  if (!notes && !lab) {
    screen.say('Nothing to stop: the quickstart has nothing running here.');
    return;
  }
  if (lab) {
    await screen.step(`${lab.hosts.length} hosts of ${lab.name}`, async () => {
      const attached = attachLab(labName);
      await attached.destroy();
      const remains = await attached.remains();
      if (remains.length > 0) {
        throw new SwarmdError('internal', `still here: ${remains.join('; ')}. Run --stop again`);
      }
      return 'removed, with their engines, networks and disks';
    });
  }
  if (notes) await stopOneNode(screen, places, notes);
}

async function stopOneNode(screen: Screen, places: Places, notes: Notes): Promise<void> {
  await screen.step('Cluster', async () => {
    const own = isAlive(notes.swarmd ?? null);
    if (await answers(places.socket)) {
      if (!own) {
        throw new SwarmdError(
          'failed-precondition',
          `another swarmd, which the quickstart did not start, answers on ${places.socket}. Stop it, then run --stop again`,
        );
      }
      await trySwarmctl(places.socket, ['leave', '--force'], { timeoutMs: leaveTimeoutMs });
    }
    if (notes.swarmd) await stopSwarmd(notes.swarmd);
    await stopSwarmdNet(dirname(places.socket));
    return 'left; swarmd has stopped';
  });

  const engine = notes.engineSocket;
  if (engine && (await engineAnswers(engine))) {
    await screen.step('Containers and networks', async () => {
      const removed = await removeOfCluster(engine, notes.clusterId ?? '');
      const image = notes.image ? await removeImage(engine) : `${exampleImage} was here before and stays`;
      return `${removed === 0 ? 'none is left' : `${removed} that were left are removed`}; ${image}`;
    });
    if (notes.startedEngine) {
      const how = notes.startedEngine;
      await screen.step('Docker Engine', async () => {
        const others = await callEngine(engine, { path: '/containers/json' });
        const running = (JSON.parse(others) as unknown[]).length;
        if (running > 0) return `goes on: ${running} containers run on it that are not the quickstart’s`;
        await stopMachineEngine(how);
        return 'stopped; it stays installed';
      });
    }
  }

  await screen.step('Data', async () => {
    await tryRun(['umount', '-l', join(dirname(places.socket), 'payloads', 'tasks')]);
    await removeFolder(places.dataDir);
    await removeFolder(dirname(places.socket));
    return `${places.dataDir} and ${dirname(places.socket)} are removed`;
  });
}

/** Removes what a cluster has left on an engine; resolves with how many containers and networks that were. */
async function removeOfCluster(engine: string, clusterId: string): Promise<number> {
  if (clusterId === '') return 0;
  const filters = new URLSearchParams({ filters: JSON.stringify({ label: [`${clusterLabel}=${clusterId}`] }) });
  const list = async (path: string): Promise<{ Id: string }[]> => JSON.parse(await callEngine(engine, { path }));
  const containers = await list(`/containers/json?all=1&${filters}`);
  for (const { Id } of containers) {
    await callEngine(engine, { method: 'DELETE', path: `/containers/${Id}?force=1&v=1` });
  }
  const networks = await list(`/networks?${filters}`);
  for (const { Id } of networks) await callEngine(engine, { method: 'DELETE', path: `/networks/${Id}` });
  await until(async () => (await list(`/containers/json?all=1&${filters}`)).length === 0, {
    ...{ timeoutMs: leaveTimeoutMs, intervalMs: 200, what: 'the cluster’s containers to be gone' },
  });
  return containers.length + networks.length;
}

async function removeImage(engine: string): Promise<string> {
  return callEngine(engine, { method: 'DELETE', path: `/images/${exampleImage}` }).then(
    () => `${exampleImage} is removed`,
    () => `${exampleImage} is in use and stays`,
  );
}

/** Removes a folder with all it holds; one that is a mount of its own is only emptied. */
async function removeFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 });
  }
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
  }
}
