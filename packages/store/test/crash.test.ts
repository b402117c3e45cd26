import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openLevelLog, openStore } from '../src/index.js';
import { silent, steppingClock, temporaryDirectory } from './builders.js';

// A dozen processes one after another: on a loaded machine more than the usual half minute.
t.setTimeout(180_000);

const writer = fileURLToPath(new URL('./crash-writer.js', import.meta.url));

/** Runs the writer and kills it with SIGKILL once it has printed `acks` acknowledgements; returns all that it printed. */
async function writeAndKill(dir: string, writers: number, first: number, acks: number): Promise<number[]> {
  const child = spawn(process.execPath, [writer, dir, `${writers}`, `${first}`, '1000000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged: number[] = [];
  for await (const line of createInterface(child.stdout)) {
    acknowledged.push(Number(line.slice('ack '.length)));
    if (acknowledged.length === acks) child.kill('SIGKILL');
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
  return acknowledged;
}

t.test(
  'level › after kill -9 all that was acknowledged is there, in whole transactions, and nothing looks damaged',
  async (t) => {
    const dir = join(await temporaryDirectory(t), 'store');
    const all: number[] = [];
    for (let round = 0; round < 12; round++) {
      const first = round * 1_000_000;
      const acks = 1 + Math.floor(Math.random() * 200);
      const acknowledged = await writeAndKill(dir, round % 2 ? 32 : 1, first, acks);
      all.push(...acknowledged);
      t.ok(
        acknowledged.length >= acks,
        `round ${round}: killed after ${acks} of ${acknowledged.length} acknowledgements`,
      );
      const store = await openStore({
        log: await openLevelLog({ dir, dataKey: Buffer.alloc(32, 7), logger: silent }),
        clock: steppingClock(),
      });
      const missing = all.filter((id) => store.view.get('task', `${id}-left`) === undefined);
      t.strictSame(missing, [], 'acknowledged and missing');
      const halves = [...store.view.find('task', 'service', 's1')].filter(({ ID }) => {
        const other = ID.endsWith('-left') ? ID.replace('left', 'right') : ID.replace('right', 'left');
        return store.view.get('task', other) === undefined;
      });
      t.strictSame(halves, [], 'half a transaction');
      await store.close();
    }
  },
);

/** System calls as strace reports them, each where it completed. */
function completedCalls(trace: string): string[] {
  const unfinished = new Map<string, string>();
  const calls: string[] = [];
  for (const line of trace.split('\n')) {
    const [, pid, call] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (pid === undefined || call === undefined) continue;
    if (call.endsWith('<unfinished ...>')) unfinished.set(pid, call);
    else if (call.startsWith('<...')) calls.push(`${unfinished.get(pid)} ${call}`);
    else calls.push(call);
  }
  return calls;
}

const strace = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']);
const skip =
  strace.status === 0 ? false : 'strace is missing or may not trace: run deploy/install-deps.sh test as root';

t.test('level › fdatasync of the batch and then of the head come before each acknowledgement', { skip }, async (t) => {
  const dir = await temporaryDirectory(t);
  const trace = join(dir, 'trace');
  const count = 20;
  const calls = 'trace=fdatasync,fsync,sync_file_range,write,pwrite64';
  const run = spawnSync(
    'strace',
    [
      '-f',
      '-y',
      '-s',
      '64',
      '-e',
      calls,
      '-o',
      trace,
      process.execPath,
      writer,
      join(dir, 'store'),
      '1',
      '0',
      `${count}`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.equal(run.status, 0);
  const seen: string[] = [];
  let acks = 0;
  for (const call of completedCalls(await readFile(trace, 'utf8'))) {
    if (/^write\(1<.*"ack \d+\\n"/.test(call)) {
      acks++;
      t.strictSame(
        seen.slice(-4),
        ['write log', 'sync log', 'write head', 'sync head'],
        `before acknowledgement ${acks}`,
      );
      seen.length = 0;
    } else if (/^write\(\d+<.*\.log>/.test(call)) seen.push('write log');
    else if (/^fdatasync\(\d+<.*\.log>.* = 0$/.test(call)) seen.push('sync log');
    else if (/^pwrite64\(\d+<.*\/head>/.test(call)) seen.push('write head');
    else if (/^fdatasync\(\d+<.*\/head>.* = 0$/.test(call)) seen.push('sync head');
  }
  t.equal(acks, count);
});
