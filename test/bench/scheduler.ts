import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BenchLine } from './main.js';

/** One size of the harness, with the heap (in MiB) that it is given. */
interface Size {
  nodes: number;
  tasks: number;
  full: boolean;
  heapMiB: number;
}

const SIZES: readonly Size[] = [
  { nodes: 1_000, tasks: 10_000, full: false, heapMiB: 2_048 },
  { nodes: 1_000, tasks: 10_000, full: true, heapMiB: 2_048 },
  { nodes: 1_000, tasks: 100_000, full: false, heapMiB: 4_096 },
  { nodes: 1_000, tasks: 100_000, full: true, heapMiB: 4_096 },
  { nodes: 5_000, tasks: 100_000, full: false, heapMiB: 4_096 },
  { nodes: 5_000, tasks: 100_000, full: true, heapMiB: 4_096 },
  { nodes: 100_000, tasks: 100_000, full: false, heapMiB: 6_144 },
  { nodes: 100_000, tasks: 1_000_000, full: false, heapMiB: 12_288 },
];
const ROUNDS = 3;

/**
 * Places pending tasks on ready nodes through the scheduler loop and the in-memory store, each size in processes of its
 * own, best of three. Emits `scheduler/<nodes>/<tasks>[/full]` in seconds from the moment the tasks are published until
 * the last assignment is, and with `/memory-per-task` the live heap that nodes, tasks and scheduler take afterwards, in
 * bytes. Arguments choose sizes by name, such as `1000/100000/full`.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  for (const size of SIZES) {
    const name = `${size.nodes}/${size.tasks}${size.full ? '/full' : ''}`;
    if (args.length > 0 && !args.includes(name)) continue;
    let best: Result | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      const result = await measure(size);
      if (best === undefined || result.seconds < best.seconds) best = result;
    }
    if (best === undefined) continue;
    emit({ name: `scheduler/${name}`, value: best.seconds, unit: 's' });
    emit({ name: `scheduler/${name}/memory-per-task`, value: best.bytesPerTask, unit: 'bytes' });
  }
}

interface Result {
  seconds: number;
  bytesPerTask: number;
}

async function measure({ nodes, tasks, full, heapMiB }: Size): Promise<Result> {
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${heapMiB}`,
      '--expose-gc',
      fileURLToPath(new URL('./scheduler-round.js', import.meta.url)),
      String(nodes),
      String(tasks),
      String(full),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  let result: Result | undefined;
  for await (const line of createInterface({ input: child.stdout })) result = JSON.parse(line) as Result;
  const code = await ended;
  if (code !== 0 || result === undefined) throw new Error(`a round of ${nodes}/${tasks} ended with code ${code}`);
  return result;
}
