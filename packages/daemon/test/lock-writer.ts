import { writeSync } from 'node:fs';
import { bootstrapCluster } from '@swarmd/manager';
import { createUnlockKey, parseUnlockKey } from '@swarmd/store';
import { pino } from 'pino';
import { keepIdentity, openVault } from '../src/lock/secret-files.js';
import { openEmbedded } from '../src/manager/store-host.js';

import { systemClock, systemRandom } from '../src/system-ports.js';

// Run as a process of its own: makes a manager's secrets and store in a folder, or opens them with the key given, then
// changes the unlock key and the data key again and again while it writes, until it is killed. Prints `key TEXT` (or
// `key -`, for none) before each change and `ack ID` after each write. Arguments: folder, unlock key or `-`, first ID.
const [dir, text, first] = process.argv.slice(2) as [string, string, string];
const ports = { clock: systemClock(), random: systemRandom(), logger: pino({ level: 'silent' }) };
const vault = await openVault(dir, text === '-' ? undefined : parseUnlockKey(text));
const { store, dataKeys } = await openEmbedded(dir, ports, { vault });
if (first === '0') {
  await keepIdentity(dir, vault, await bootstrapCluster(store, { ...ports, advertiseAddr: '127.0.0.1:2377' }));
}
const never = new AbortController().signal;

async function write(): Promise<never> {
  for (let id = Number(first); ; id++) {
    await store.update((tx) => void tx.create('config', { ID: `c${id}`, Spec: { Name: `c${id}`, Data: 'eA==' } }));
    writeSync(1, `ack c${id}\n`);
  }
}

async function change(): Promise<never> {
  for (;;) {
    const next = Math.random() < 0.3 ? undefined : createUnlockKey();
    writeSync(1, `key ${next ?? '-'}\n`);
    const key = next === undefined ? undefined : parseUnlockKey(next);
    await vault.rekey(key);
    await dataKeys.tend(key?.id ?? '', never);
  }
}

await Promise.all([write(), change()]);
