import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { engineVersion, findEngine, startMachineEngine } from './engine.js';
import { ensureImage, exampleImage, type ImageSource } from './images.js';
import { type Notes, readNotes, writeNotes } from './notes.js';
import { type Places, placesOfUser, preparePlaces } from './places.js';
import { findFreePort, ownAddress } from './ports.js';
import type { Screen } from './screen.js';
import { deployExample, deployedWebPort, followExample, untilPageAnswers, type WaitingService } from './stack.js';
import { summaryOfOneNode } from './summary.js';
import { answers, startSwarmd, swarmctl, swarmInfo } from './swarmd.js';

const clusterPort = 2377;

/** File of the notes on this user's one-node cluster. */
export function notesFile(places: Places): string {
  return join(places.notesDir, 'made.json');
}

/** Brings up the one-node cluster of this user with the example stack, or finds it and deploys the stack again. */
export async function startOneNode(screen: Screen, options: { webPort: number }): Promise<void> {
  const places = placesOfUser();
  await refuseForeign(places);
  preparePlaces(places);
  const notes: Notes = readNotes(notesFile(places)) ?? {};
  const keep = (): void => writeNotes(notesFile(places), notes);
  keep();
  if (!places.root) screen.say(`Not root: everything goes to ${places.dataDir} and ${places.socket}.`);
  await bringUpCluster(screen, places, notes, keep);

  let webPort = 0;
  await screen.step('Example stack', async (tell) => {
    webPort = (await deployedWebPort(places.socket)) ?? 0;
    if (webPort === 0) {
      const { port, passedOver } = await findFreePort(options.webPort);
      if (passedOver.length > 0) tell(`${passedOver.join('; ')}: taking ${port}`);
      webPort = port;
    }
    await deployExample(places.socket, { webPort, registry: notes.image === 'pulled' }, tell);
    return 'deployed from deploy/examples/quickstart.yml';
  });

  let waiting: WaitingService[] = [];
  await screen.step('Its services', async (tell) => {
    waiting = await followExample(places.socket, tell);
    return waiting.length === 0 ? 'all run' : `all run but ${waiting.length}, explained below`;
  });

  const url = `http://127.0.0.1:${webPort}`;
  let page = '';
  await screen.step('Its page', async () => {
    page = await untilPageAnswers(url);
    return `${url} answers`;
  });
  screen.say(await summaryOfOneNode({ places, url, page, waiting }));
}

/** Engine, image, swarmd and cluster: each is made unless it is there; `keep` saves what was made at once. */
async function bringUpCluster(screen: Screen, places: Places, notes: Notes, keep: () => void): Promise<void> {
  await screen.step('Docker Engine', async (tell) => {
    let socket = await findEngine();
    if (!socket) {
      tell('none answers: starting one');
      await startMachineEngine(join(places.notesDir, 'dockerd.log'), (how) => {
        notes.startedEngine = how;
        keep();
      });
      socket = await findEngine();
    }
    notes.engineSocket = socket!;
    keep();
    return `${await engineVersion(notes.engineSocket)} answers on unix://${notes.engineSocket}`;
  });

  await screen.step('Image of the example', async (tell) => {
    const image = await ensureImage(notes.engineSocket!, tell);
    if (image !== 'present') notes.image = image;
    keep();
    return `${exampleImage}: ${imageWords[image]}`;
  });

  await screen.step('swarmd', async (tell) => {
    if (await answers(places.socket)) return `runs already, on unix://${places.socket}`;
    if (!notes.listenAddr) {
      const { port, passedOver } = await findFreePort(clusterPort);
      if (passedOver.length > 0) tell(`${passedOver.join('; ')}: taking ${port} for joining nodes`);
      notes.listenAddr = `0.0.0.0:${port}`;
    }
    const logFile = join(places.notesDir, 'swarmd.log');
    const args = [
      ...['--data-dir', places.dataDir, '--host', `unix://${places.socket}`, '--group', places.group],
      ...['--engine', `unix://${notes.engineSocket}`, '--listen-addr', notes.listenAddr],
    ];
    await startSwarmd(args, { socket: places.socket, logFile }, (process) => {
      notes.swarmd = process;
      keep();
    });
    return `answers on unix://${places.socket}, writes its log to ${logFile}`;
  });

  await screen.step('Cluster of one node', async () => {
    const before = await swarmInfo(places.socket);
    const made = before.LocalNodeState !== 'active';
    if (made) await initCluster(places, notes);
    notes.clusterId = (await swarmInfo(places.socket)).Cluster?.ID ?? '';
    keep();
    return made ? 'initialised, on the embedded store' : 'is there already';
  });
}

const imageWords: Readonly<Record<ImageSource, string>> = {
  present: 'is here',
  pulled: 'pulled',
  made: 'made from this machine’s busybox',
};

async function initCluster(places: Places, notes: Notes): Promise<void> {
  const listenAddr = notes.listenAddr!;
  const port = listenAddr.slice(listenAddr.lastIndexOf(':') + 1);
  const advertise = `${await ownAddress()}:${port}`;
  await swarmctl(places.socket, ['init', '--listen-addr', listenAddr, '--advertise-addr', advertise]);
}

/** A swarmd that somebody set up here is theirs: the quickstart says so and touches nothing. */
async function refuseForeign(places: Places): Promise<void> {
  if (readNotes(notesFile(places))) return;
  const alive = await answers(places.socket);
  const hasData = existsSync(places.dataDir) && readdirSync(places.dataDir).length > 0;
  if (!alive && !hasData) return;
  throw new SwarmdError(
    'failed-precondition',
    [
      `this machine has a swarmd that the quickstart did not start (${alive ? places.socket : places.dataDir}); it stays as it is.`,
      'Deploy the example on it:   npx swarmctl stack deploy -c deploy/examples/quickstart.yml quickstart',
      'Or try three hosts apart:   npm run quickstart -- --hosts 3',
    ].join('\n'),
  );
}
