// Watches how a service's tasks are seen from inside a container: prober.mjs, driven by JSON lines on standard input.
// {"start":NAME,"names":BOOL,"virtualIp":IP} begins anew, {"address":IP} adds a task's address, {"leaving":true}
// says that from now on addresses may go. Prints a JSON line the first time that
// something is seen: {"kind":"dns"|"gone"|"vip"|"address","key":…,"at":MS} (key: an address, or for "vip" a host name).
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const EVERY_MS = 20;
const PATIENCE_MS = 1_000;
let watched;

function now() {
  return performance.timeOrigin + performance.now();
}

function see(of, kind, key, at = now()) {
  if (of !== watched || of.seen.has(`${kind} ${key}`)) return;
  of.seen.add(`${kind} ${key}`);
  console.log(JSON.stringify({ kind, key, at }));
}

async function lookUp(of) {
  // A resolver keeps what it has learnt: each question has its own.
  const resolver = new Resolver({ timeout: PATIENCE_MS, tries: 1 });
  resolver.setServers(['127.0.0.11']);
  const asked = now();
  // Docker Swarm asks other servers for a name that it does not know, and without any gives no answer at all.
  const found = await resolver.resolve4(`tasks.${of.name}`).catch(() => []);
  for (const address of found) see(of, 'dns', address);
  if (asked > of.leavingAt)
    for (const address of of.known) if (!found.includes(address)) see(of, 'gone', address, asked);
  for (const address of found) of.known.add(address);
}

/** What a web server says, or `refused` when there is an address and nobody listens; undefined without an answer. */
function get(host) {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host, port: 8080 }, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('error', ({ code }) => resolve(code === 'ECONNREFUSED' ? 'refused' : undefined));
    socket.on('close', () => resolve(text.split('\r\n\r\n')[1]?.trim()));
  });
}

async function askVirtualIp(of) {
  const host = await get(of.virtualIp);
  if (host !== undefined && host !== 'refused') see(of, 'vip', host);
}

async function askAddress(of, address) {
  if ((await get(address)) !== undefined) see(of, 'address', address);
}

/** Repeats a look while `of` is watched; a slow one does not keep the next one waiting. */
function again(of, look, until = () => false) {
  let running = 0;
  const timer = setInterval(async () => {
    if (of !== watched || until()) return clearInterval(timer);
    if (running >= 4) return;
    running += 1;
    await look();
    running -= 1;
  }, EVERY_MS);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { start, names, virtualIp, address, leaving } = JSON.parse(line);
  if (start !== undefined) {
    watched = { name: start, virtualIp, known: new Set(), seen: new Set(), leavingAt: Infinity };
    const of = watched;
    if (names) again(of, () => lookUp(of));
    if (virtualIp) again(of, () => askVirtualIp(of));
  } else if (address !== undefined) {
    const of = watched;
    again(
      of,
      () => askAddress(of, address),
      () => of.seen.has(`address ${address}`),
    );
  } else if (leaving) watched.leavingAt = now();
  else watched = undefined;
}
