import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's folder, found from this file's compiled place in it. */
export const repository = fileURLToPath(new URL('../../../../../', import.meta.url));

/** The program that starts swarmd. */
export const swarmdProgram = join(repository, 'packages', 'daemon', 'bin', 'swarmd');

/** The command line, a script for node. */
export const swarmctlProgram = join(repository, 'packages', 'cli', 'bin', 'swarmctl');

/** The stack that the quickstart deploys. */
export const exampleStackFile = join(repository, 'deploy', 'examples', 'quickstart.yml');

/** Its name in the cluster. */
export const exampleStackName = 'quickstart';

/** Name of the hosts' lab unless told otherwise. */
export const defaultLabName = 'quickstart';

/** Where the one-node cluster of this user lives. */
export interface Places {
  /** True for root, whose places are swarmd's defaults. */
  root: boolean;
  dataDir: string;
  /** Path of the API socket. */
  socket: string;
  /** The quickstart's own notes and logs, in the data directory. */
  notesDir: string;
  /** Group that may use the socket. */
  group: string;
}

/** swarmd's default places for root; the user's own directories for everybody else. */
export function placesOfUser(env: NodeJS.ProcessEnv = process.env): Places {
  const root = process.getuid?.() === 0;
  const dataDir = root ? '/var/lib/swarmd' : join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'swarmd');
  const runDir = root ? '/run/swarmd' : join(env['XDG_RUNTIME_DIR'] ?? `/tmp/swarmd-${process.getuid?.()}`, 'swarmd');
  return {
    ...{ root, dataDir, socket: join(runDir, 'swarmd.sock'), notesDir: join(dataDir, 'quickstart') },
    group: root ? 'docker' : ownGroup(),
  };
}

/** Makes the folders that must be there before swarmd runs. */
export function preparePlaces(places: Places): void {
  mkdirSync(places.dataDir, { recursive: true, mode: 0o700 });
  mkdirSync(places.notesDir, { recursive: true, mode: 0o700 });
  mkdirSync(join(places.socket, '..'), { recursive: true, mode: places.root ? 0o755 : 0o700 });
}

/** A user may give a socket only to a group of their own. */
function ownGroup(): string {
  const gid = process.getgid?.() ?? 0;
  const lines = readFileSync('/etc/group', 'utf8').split('\n');
  return lines.find((line) => line.split(':')[2] === String(gid))?.split(':')[0] ?? String(gid);
}
