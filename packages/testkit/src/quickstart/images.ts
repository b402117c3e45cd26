import { SwarmdError } from '@swarmd/model';
import { tryRun } from '../hosts/command.js';
import { callEngine } from '../hosts/engine-api.js';
import { importBusyboxImage } from '../hosts/images/busybox.js';
import { repository } from './places.js';
import type { Tell } from './screen.js';

/** The image that the example stack runs. */
export const exampleImage = 'busybox:latest';

/** Without an answer within this time there is taken to be no way to a registry. */
const pullTimeoutMs = 15_000;

/** Where the example's image came from. */
export type ImageSource = 'present' | 'pulled' | 'made';

/** True when the engine has the image. */
export async function hasImage(engineSocket: string, name: string = exampleImage): Promise<boolean> {
  return callEngine(engineSocket, { path: `/images/${name}/json` }).then(
    () => true,
    () => false,
  );
}

/** True once the engine has pulled the image; false when it cannot within fifteen seconds. */
export async function pullImage(engineSocket: string, name: string = exampleImage): Promise<boolean> {
  const [repositoryName = '', tag = 'latest'] = name.split(':');
  const query = new URLSearchParams({ fromImage: repositoryName, tag });
  const call = { method: 'POST', path: `/images/create?${query}`, timeoutMs: pullTimeoutMs } as const;
  return callEngine(engineSocket, call).then(
    // An error comes as a line of the stream; `callEngine` knows its modern form only.
    (answer) => !/"error"/.test(answer),
    () => false,
  );
}

/** Makes the image from this machine's busybox, which root installs when it is missing. */
export async function makeImage(engineSocket: string, tell: Tell): Promise<void> {
  try {
    await importBusyboxImage(engineSocket, [exampleImage]);
  } catch (error) {
    if (!(error instanceof SwarmdError) || error.code !== 'failed-precondition') throw error;
    tell('no static busybox here: installing Debian’s busybox-static');
    const installed = await tryRun(['bash', `${repository}/deploy/install-deps.sh`, 'images'], { timeoutMs: 300_000 });
    if (installed.code !== 0) {
      throw new SwarmdError(
        'unavailable',
        `${installed.stderr.trim()}\n${exampleImage} can neither be pulled nor made here. Connect this machine, or install busybox-static, and run the quickstart again`,
      );
    }
    await importBusyboxImage(engineSocket, [exampleImage]);
  }
}

/** Sees to it that an engine has the example's image, and says how. */
export async function ensureImage(engineSocket: string, tell: Tell): Promise<ImageSource> {
  if (await hasImage(engineSocket)) return 'present';
  tell(`pulling ${exampleImage}`);
  if (await pullImage(engineSocket)) return 'pulled';
  tell('no registry answers: making the image from what is on this machine');
  await makeImage(engineSocket, tell);
  return 'made';
}
