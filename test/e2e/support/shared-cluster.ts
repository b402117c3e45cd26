import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Cluster } from './cluster.js';
import { describeTasks } from './observe.js';

/** The parts of tap's tests that sharing needs; the root of a file has them too. */
type Owner = Pick<Test, 'teardown'>;

/** Longest account of a failure: what the test runner prints of a file. */
const maxStoryLength = 3_500;

/**
 * One cluster for all tests of a file: made when the first test asks for it, taken down with `owner`. A test that
 * fails prints what each swarmd logged meanwhile.
 */
export function shareCluster(owner: Owner, make: () => Promise<Cluster>): (t: Test) => Promise<Cluster> {
  let made: Promise<Cluster> | undefined;
  owner.teardown(async () => {
    const cluster = await made?.catch(() => undefined);
    await cluster?.[Symbol.asyncDispose]();
  });
  return async (t) => {
    made ??= make();
    const cluster = await made;
    tellOnFailure(t, cluster);
    return cluster;
  };
}

/** Has a failing test print its tasks and what each swarmd logged from now on; keeps the whole logs in a folder. */
export function tellOnFailure(t: Test, cluster: Pick<Cluster, 'lab' | 'hosts'>): void {
  const before = new Map(logsOf(cluster).map(([name, text]) => [name, text.length]));
  t.teardown(async () => {
    if (t.passing()) return;
    const kept = join(tmpdir(), `swarmd-e2e-${cluster.lab.name}`);
    cpSync(join(cluster.lab.directory, 'logs'), kept, { recursive: true });
    keepNetworkLogs(cluster, kept);
    const tasks = await describeTasks(cluster.hosts[0]!).catch((error: Error) => `no tasks: ${error.message}`);
    const logs = logsOf(cluster).map(([name, text]) => storyOf(name, text.slice(before.get(name) ?? 0)));
    const share = Math.floor((maxStoryLength - 1_000) / logs.length);
    const parts = [`all logs: ${kept}`, tasks.slice(0, 900), ...logs.map((log) => log.slice(-share))];
    console.error(parts.join('\n'));
  });
}

/** What swarmd-net said, whoever started it. */
function keepNetworkLogs({ lab, hosts }: Pick<Cluster, 'lab' | 'hosts'>, folder: string): void {
  for (const host of hosts) {
    const logs = {
      'by-swarmd': host.path('/run/swarmd/swarmd-net.log'),
      'by-itself': join(lab.directory, host.name, 'swarmd-net.log'),
    };
    for (const [started, log] of Object.entries(logs)) {
      if (existsSync(log)) cpSync(log, join(folder, `${host.name}.swarmd-net.${started}.log`));
    }
  }
}

function logsOf(cluster: Pick<Cluster, 'lab'>): [name: string, text: string][] {
  const directory = join(cluster.lab.directory, 'logs');
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((file) => [
    file.replace(/\.log$/, ''),
    readFileSync(join(directory, file), 'utf8'),
  ]);
}

/** Warnings and errors, and the last lines of any kind, without pino's wrapping. */
function storyOf(host: string, text: string): string {
  const lines = text.split('\n').filter(Boolean);
  const told = lines.filter((line, index) => index >= lines.length - 8 || !/^\{"level":(10|20|30),/.test(line));
  return told.map((line) => `${host} ${readable(line)}`).join('\n');
}

function readable(line: string): string {
  try {
    const { time, msg, component, reason, err } = JSON.parse(line) as Record<string, unknown>;
    const why = reason ?? (err as { message?: string } | undefined)?.message ?? '';
    return [new Date(Number(time)).toISOString().slice(11, 23), component, msg, why].filter(Boolean).join(' ');
  } catch {
    return line;
  }
}
