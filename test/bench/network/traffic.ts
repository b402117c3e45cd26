import type { BenchLine } from '../main.js';
import { inTurns, median, medianRatio, type Way } from './ways.js';

/** Short, and many of them: what else the machine does changes within seconds. */
const STREAM_SECONDS = 1;
const CONNECTIONS = 1_000;
const CONCURRENT = 8;
const ONE_BY_ONE = 500;

/**
 * One TCP stream over each way. Emits `network/throughput/<way>` (Mbit/s, median of the rounds) and
 * `network/throughput/<way>/of-<reference>` (ratio, median of the rounds' own ratios); `…/best` is the ratio of the best
 * rounds of both, in which the machine had least else to do.
 */
export async function measureThroughput(
  ways: readonly Way[],
  rounds: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  const values = await inTurns(ways, rounds, async (way) => {
    const argv = ['/usr/bin/iperf3', '-c', way.address, '-p', String(way.iperf), '-t', String(STREAM_SECONDS), '-J'];
    const { end } = JSON.parse(await way.run(argv)) as { end: { sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second / 1e6;
  });
  report('throughput', 'Mbit/s', ways, values, emit);
}

/**
 * HTTP requests, a connection each, to a server of one process. Emits as `measureThroughput` does: `network/connections/…`
 * (1/s, eight at a time), and one after the other `network/request-p50/…` and `network/request-p99/…` (ms).
 */
export async function measureRequests(
  ways: readonly Way[],
  rounds: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  const many = await inTurns(ways, rounds, (way) => askMany(way, CONNECTIONS, CONCURRENT));
  report('connections', '1/s', ways, pick(many, 'perSecond'), emit);
  const single = await inTurns(ways, rounds, (way) => askMany(way, ONE_BY_ONE, 1));
  report('request-p50', 'ms', ways, pick(single, 'p50'), emit);
  report('request-p99', 'ms', ways, pick(single, 'p99'), emit);
}

interface Asked {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

async function askMany(way: Way, count: number, concurrency: number): Promise<Asked> {
  const url = `http://${way.address}:${way.echo}/`;
  const counts = ['-n', String(count), '-c', String(concurrency)];
  // Answers differ in length, as they name the client's port; that is no failure.
  const argv = ['/usr/bin/ab', '-q', '-l', ...counts, '-e', '/dev/stdout', url];
  // It opens its output by name, which works for a pipe and not for the socket that this process reads from.
  const out = await way.run(['sh', '-c', '"$@" | cat', 'ab', ...argv]);
  const failed = Number(/^Failed requests:\s+(\d+)/m.exec(out)?.[1]);
  if (failed !== 0) throw new Error(`${failed} of ${count} requests failed on the way ${way.name}:\n${out}`);
  return {
    perSecond: Number(/^Requests per second:\s+([\d.]+)/m.exec(out)![1]),
    p50: Number(/^50,([\d.]+)$/m.exec(out)![1]),
    p99: Number(/^99,([\d.]+)$/m.exec(out)![1]),
  };
}

function pick(values: ReadonlyMap<string, Asked[]>, field: keyof Asked): Map<string, number[]> {
  return new Map([...values].map(([name, list]) => [name, list.map((asked) => asked[field])]));
}

function report(
  what: string,
  unit: string,
  ways: readonly Way[],
  values: ReadonlyMap<string, number[]>,
  emit: (line: BenchLine) => void,
): void {
  const best = unit === 'ms' ? Math.min : Math.max;
  const compare = (name: string, other: string): void => {
    const [own, others] = [values.get(name), values.get(other)];
    if (own === undefined || others === undefined) return;
    const line = { name: `network/${what}/${name}/of-${other}`, unit: 'ratio' };
    emit({ ...line, value: medianRatio(own, others) });
    emit({ ...line, name: `${line.name}/best`, value: best(...own) / best(...others) });
  };
  for (const { name, reference } of ways) {
    emit({ name: `network/${what}/${name}`, value: median(values.get(name)!), unit });
    if (name !== reference) compare(name, reference);
  }
  compare('vip', 'overlay');
  compare('overlay', 'swarm');
}
