import type { BenchLine } from '../main.js';
import { inTurns, median, medianRatio, type Way } from './ways.js';

const STREAM_SECONDS = 2;
const CONNECTIONS = 3_000;
const CONCURRENT = 8;
const ONE_BY_ONE = 1_000;

/**
 * One TCP stream over each way. Emits `network/throughput/<way>` (Mbit/s, median of the rounds) and
 * `network/throughput/<way>/of-<reference>` (ratio, median of the rounds' own ratios).
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
  for (const { name, reference } of ways) {
    const own = values.get(name)!;
    emit({ name: `network/${what}/${name}`, value: median(own), unit });
    if (name === reference) continue;
    const value = medianRatio(own, values.get(reference)!);
    emit({ name: `network/${what}/${name}/of-${reference}`, value, unit: 'ratio' });
  }
  const [vip, overlay, swarm] = ['vip', 'overlay', 'swarm'].map((name) => values.get(name));
  const ratios = { 'vip/of-overlay': [vip, overlay], 'overlay/of-swarm': [overlay, swarm] };
  for (const [name, [of, by]] of Object.entries(ratios)) {
    if (of && by) emit({ name: `network/${what}/${name}`, value: medianRatio(of, by), unit: 'ratio' });
  }
}
