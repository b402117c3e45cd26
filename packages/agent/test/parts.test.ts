import type { ServiceSpec } from '@swarmd/model';
import t from 'tap';
import { negotiate } from '../src/engine/client.js';
import { readInspection } from '../src/engine/container-facts.js';
import { userOffset } from '../src/engine/describe.js';
import { engineError, isTemporary } from '../src/engine/errors.js';
import { createLimiter } from '../src/engine/limiter.js';
import { splitFrames, splitLines } from '../src/logs/read.js';
import { statusAfter, statusWith } from '../src/task/status.js';

t.test('API version › the newest that both know, or a clear refusal', async (t) => {
  t.equal(negotiate('1.41', '1.12'), '1.41');
  t.equal(negotiate('1.47', '1.24'), '1.47');
  t.equal(negotiate('1.99', '1.44'), '1.51');
  t.throws(() => negotiate('1.40', '1.12'), { code: 'failed-precondition', message: /20\.10/ });
  t.throws(() => negotiate('1.99', '1.60'), { code: 'failed-precondition' });
});

t.test('limiter › lets as many run as it has places, urgent ones first', async (t) => {
  const limiter = createLimiter(2);
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const call = (name: string, urgent = false) =>
    limiter.run(
      async () => {
        order.push(name);
        await new Promise<void>((resolve) => ends.push(resolve));
      },
      { urgent },
    );
  const all = [call('a'), call('b'), call('c'), call('d'), call('urgent', true)];
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(order, ['a', 'b']);
  for (let i = 0; i < 5; i++) {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(all);
  t.strictSame(order, ['a', 'b', 'urgent', 'c', 'd']);
});

t.test('limiter › a failure frees the place, an abort the queue', async (t) => {
  const limiter = createLimiter(1);
  await t.rejects(limiter.run(() => Promise.reject(new Error('no'))));
  let end = () => {};
  const running = limiter.run(() => new Promise<void>((resolve) => (end = resolve)));
  const stop = new AbortController();
  const waiting = limiter.run(async () => t.fail('it ran'), { signal: stop.signal });
  stop.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  end();
  await running;
  t.equal(await limiter.run(async () => 7), 7);
});

t.test('engine errors › carry the engine’s words and whether to try again', async (t) => {
  const http = (statusCode: number, message: string) =>
    Object.assign(new Error('x'), { statusCode, json: { message } });
  t.match(engineError(http(404, 'No such image')), { code: 'not-found', message: 'No such image' });
  t.match(engineError(http(409, 'in use')), { code: 'already-exists' });
  t.match(engineError(http(500, 'broken')), { code: 'internal', message: 'broken' });
  const streamed = Object.assign(new Error('(HTTP code 404) no such thing - pull access denied '), { statusCode: 404 });
  t.match(engineError(streamed), { message: 'pull access denied' });
  const refused = engineError(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }));
  t.match(refused, { code: 'unavailable' });
  t.ok(isTemporary(refused));
  const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
  t.ok(isTemporary(engineError(late)));
  t.notOk(isTemporary(engineError(http(500, 'broken'))));
});

const inspected = (state: object, over: object = {}) =>
  readInspection({
    Id: 'c1',
    State: { Status: 'running', Pid: 7, ExitCode: 0, OOMKilled: false, Error: '', ...state },
    Config: { Labels: { a: 'b' } },
    NetworkSettings: { Ports: {}, Networks: {} },
    ...over,
  } as never);

t.test('inspection › tells what a container is', async (t) => {
  t.match(inspected({}).facts, { kind: 'running', health: 'none' });
  t.match(inspected({ Health: { Status: 'starting' } }).facts, { kind: 'running', health: 'starting' });
  t.match(inspected({ Status: 'paused' }).facts, { kind: 'running' });
  t.match(inspected({ Status: 'created', Pid: 0 }).facts, { kind: 'created' });
  t.strictSame(inspected({ Status: 'exited', Pid: 0, ExitCode: 0, Error: 'x' }).facts, {
    kind: 'exited',
    id: 'c1',
    exitCode: 0,
  });
  t.match(inspected({ Status: 'exited', ExitCode: 137, OOMKilled: true }).facts, { reason: 'out of memory' });
  t.match(inspected({ Status: 'dead', ExitCode: 1, Error: 'x' }).facts, { kind: 'exited', reason: 'x' });
  t.strictSame(inspected({}).status, { ContainerID: 'c1', PID: 7, ExitCode: 0 });
});

t.test('status › shows host-mode ports while the task runs, and no others', async (t) => {
  const Ports = {
    '80/tcp': [
      { HostIp: '0.0.0.0', HostPort: '32768' },
      { HostIp: '::', HostPort: '32768' },
    ],
    '81/tcp': [{ HostIp: '0.0.0.0', HostPort: '8081' }],
    '82/tcp': null,
  };
  const found = inspected({}, { NetworkSettings: { Ports, Networks: { front: { IPAddress: '10.0.0.2' } } } });
  t.strictSame(found.addresses, { front: '10.0.0.2' });
  const spec: ServiceSpec = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishMode: 'host' }, { TargetPort: 81 }] } };
  const first = { Timestamp: '', State: 'starting' as const, Message: '' };
  const assigned = { serviceId: 's', specVersion: 1, spec, registryAuth: '' };
  const seen = statusWith(first, found, { ports: [] } as never, assigned);
  const running = statusAfter(seen, { kind: 'transition', state: 'running', message: 'started' }, 0);
  t.strictSame(running, {
    Timestamp: '1970-01-01T00:00:00.000000000Z',
    State: 'running',
    Message: 'started',
    ContainerStatus: { ContainerID: 'c1', PID: 7, ExitCode: 0 },
    PortStatus: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 32768, PublishMode: 'host' }] },
  });
  const failed = statusAfter(running, { kind: 'transition', state: 'failed', message: 'started', err: 'x' }, 0);
  t.equal(failed.PortStatus, undefined);
  t.equal(failed.Err, 'x');
});

t.test('user remapping › is read from the engine’s data directory', async (t) => {
  const info = { DockerRootDir: '/var/lib/docker/100000.100000', SecurityOptions: ['name=userns'] };
  t.equal(userOffset(info as never), 100_000);
  t.equal(userOffset({ ...info, SecurityOptions: [] } as never), 0);
});

async function* chunks(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

t.test('logs › frames and lines come out whole however they are cut', async (t) => {
  const frame = (stream: number, text: string) => {
    const head = Buffer.alloc(8);
    head[0] = stream;
    head.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const bytes = Buffer.concat([frame(1, 'one\n'), frame(2, ''), frame(2, 'zwei ü\n'), frame(1, 'x'.repeat(300))]);
  for (const size of [1, 3, 8, 1000]) {
    const frames = (await gather(splitFrames(chunks(bytes, size)))).map(([stream, data]) => [stream, data.toString()]);
    t.strictSame(frames, [
      [1, 'one\n'],
      [2, ''],
      [2, 'zwei ü\n'],
      [1, 'x'.repeat(300)],
    ]);
    const lines = await gather(splitLines(chunks(Buffer.from('a\r\nb\n\nc'), size)));
    t.strictSame(
      lines.map((line) => line.toString()),
      ['a\r\n', 'b\n', '\n', 'c'],
    );
  }
  const endless = await gather(splitLines(chunks(Buffer.from(`${'x'.repeat(200_000)}\nend`), 1_000)));
  t.equal(Buffer.concat(endless).toString(), `${'x'.repeat(200_000)}\nend`);
  t.ok(endless.every((piece) => piece.length <= 64 * 1024));
});
