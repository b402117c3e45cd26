import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ProcessIdentity } from '../hosts/processes.js';

/** What the quickstart did to this machine, kept so that a later run finds it and `--stop` takes exactly that away. */
export interface Notes {
  /** Path of the engine's socket. */
  engineSocket?: string;
  /** How the engine was started; absent when it ran already. */
  startedEngine?: { by: 'systemd' } | { by: 'dockerd'; process: ProcessIdentity };
  /** How the example's image came to the engine; absent when it was there already. */
  image?: 'pulled' | 'made';
  swarmd?: ProcessIdentity;
  /** `IP:PORT` that swarmd listens on for other nodes. */
  listenAddr?: string;
  /** The cluster's ID, which its containers and networks carry as a label. */
  clusterId?: string;
}

/** Reads the notes; null when there are none. */
export function readNotes(file: string): Notes | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Notes;
  } catch {
    return null;
  }
}

/** Writes the notes so that a reader sees the old or the new ones, never half. */
export function writeNotes(file: string, notes: Notes): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(notes, null, 2));
  renameSync(`${file}.new`, file);
}
