import { writeSync } from 'node:fs';
import { openLevelLog, openStore } from '../src/index.js';
import { newTask, silent, steppingClock } from './builders.js';

// Run as a process of its own: writes transactions of two tasks each and prints `ack ID` for each one that is
// acknowledged, until it is killed or `most` are. Arguments: directory, writers at once, first ID, most.
const [dir, writers, first, most] = process.argv.slice(2);
const log = await openLevelLog({ dir: dir!, dataKey: Buffer.alloc(32, 7), logger: silent });
const store = await openStore({ log, clock: steppingClock() });
const end = Number(first) + Number(most);
let next = Number(first);

async function write(): Promise<void> {
  while (next < end) {
    const id = next++;
    await store.update((tx) => {
      tx.create('task', newTask(`${id}-left`, { NodeID: 'n'.repeat(id % 5000) }));
      tx.create('task', newTask(`${id}-right`));
      if (id % 3 === 0) for (const task of tx.find('task', 'service', 'done')) tx.delete('task', task.ID);
      tx.create('task', newTask(`${id}-done`, { ServiceID: 'done' }));
    });
    writeSync(1, `ack ${id}\n`);
  }
}

await Promise.all(Array.from({ length: Number(writers) }, write));
await store.close();
