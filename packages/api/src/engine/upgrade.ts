import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { toHttp } from '../http/errors.js';
import { API_VERSION, checkVersion, splitVersion, urlForEngine } from '../http/versions.js';
import { type Engine, engineUnavailable } from './engine.js';
import { laggingPump } from './lagging-pump.js';

/** The head of an HTTP answer cannot be longer; an engine's is a few hundred bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
const HEAD_END = '\r\n\r\n';

/** Connections that were handed over to the engine, so that closing the API ends them. */
export type Tunnels = Set<net.Socket | Duplex>;

/**
 * Hands an upgraded request (exec, attach, build sessions) to the engine: the head with the version prefix rewritten,
 * then bytes both ways, each direction ended on its own. A body that belongs to the request goes first among these
 * bytes, just as the client sent it. Never rejects.
 */
export async function tunnel(
  engine: Engine,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  tunnels: Tunnels,
): Promise<void> {
  tunnels.add(client);
  client.on('error', () => client.destroy());
  client.on('close', () => tunnels.delete(client));
  try {
    const url = request.url ?? '/';
    checkVersion(splitVersion(url).version);
    const path = urlForEngine(url, await engine.facts());
    if (client.destroyed) return;
    connect(engine, requestHead(request, path), client, head, tunnels);
  } catch (thrown) {
    refuse(client, thrown);
  }
}

function requestHead(request: IncomingMessage, path: string): string {
  const lines = [`${request.method} ${path} HTTP/1.1`];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
  }
  return lines.join('\r\n') + HEAD_END;
}

function connect(engine: Engine, head: string, client: Duplex, firstBytes: Buffer, tunnels: Tunnels): void {
  const upstream = net.connect({ path: engine.socketPath, allowHalfOpen: true });
  tunnels.add(upstream);
  let answered = false;
  upstream.on('close', () => {
    tunnels.delete(upstream);
    client.destroy();
  });
  upstream.on('error', (cause) => {
    if (answered) client.destroy();
    else {
      engine.forget();
      refuse(client, engineUnavailable(engine.socketPath, cause));
    }
    answered = true;
  });
  client.on('close', () => upstream.destroy());
  upstream.write(head);
  if (firstBytes.length > 0) upstream.write(firstBytes);
  const stopInput = laggingPump(client, upstream);
  upstream.on('end', stopInput);
  readHead(upstream, (answerHead, rest) => {
    answered = true;
    client.write(answerHead);
    if (rest.length > 0) client.write(rest);
    upstream.pipe(client);
  });
}

/** Calls `onHead` once with the engine's answer head, made ready for the client, and the bytes that came with it. */
function readHead(upstream: net.Socket, onHead: (head: string, rest: Buffer) => void): void {
  let received = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]);
    const end = received.indexOf(HEAD_END);
    if (end === -1 && received.length < MAX_HEAD_BYTES) return;
    upstream.off('data', onData);
    upstream.pause();
    if (end === -1) {
      upstream.destroy(new Error('the answer has no end of headers'));
      return;
    }
    onHead(answerHead(received.toString('latin1', 0, end)), received.subarray(end + HEAD_END.length));
  };
  upstream.on('data', onData);
}

/**
 * The engine's head with our API version. Where the engine did not switch protocols the connection is good for this
 * one answer only: what the client sends next would otherwise reach the engine past our routes.
 */
function answerHead(head: string): string {
  const [status = '', ...headers] = head.split('\r\n');
  const switched = / 101 /.test(`${status} `);
  const kept = headers.filter((line) => !/^api-version:/i.test(line) && (switched || !/^connection:/i.test(line)));
  const own = [`Api-Version: ${API_VERSION}`, ...(switched ? [] : ['Connection: close'])];
  return [status, ...kept, ...own].join('\r\n') + HEAD_END;
}

function refuse(client: Duplex, thrown: unknown): void {
  const { status, message } = toHttp(thrown);
  const body = `${JSON.stringify({ message })}\n`;
  const lines = [
    `HTTP/1.1 ${status} Refused`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Api-Version: ${API_VERSION}`,
    'Connection: close',
  ];
  client.end(lines.join('\r\n') + HEAD_END + body);
}
