import t, { type Test } from 'tap';
import { seed } from './support/recorded-world.js';
import { comparable, type Exchange, parseUrl, type Recording, recordings } from './support/recording.js';
import { startTestApi, type TestApi } from './support/test-api.js';

type Json = Record<string, unknown>;

/** Paths whose answers are ours; the rest is the engine's and has tests of its own. */
const OURS = /^\/(services|tasks|nodes|secrets|configs|swarm(?!\/unlockkey)|networks)(\/|$)/;
/** What containers and peers add to a network's inspection comes from the running network. */
const RUNTIME_OF_NETWORKS = ['Containers', 'Peers', 'Services'];

for (const recording of recordings()) {
  const ours = recording.exchanges.filter(
    ({ url }) => OURS.test(parseUrl(url).path) && !parseUrl(url).path.endsWith('/logs'),
  );
  if (ours.length === 0) continue;
  t.test(`api › answers the docker CLI as a real Swarm did: ${recording.command}`, async (t) =>
    replay(t, recording, ours),
  );
}

async function replay(t: Test, recording: Recording, exchanges: Exchange[]): Promise<void> {
  const world = await startTestApi(t);
  if (recording.command.endsWith('-noswarm')) leaveSwarm(world);
  await seedReferences(world, recording);
  /** Specs that we wrote ourselves, to be held against what the real Swarm made of them. */
  const written = new Set<string>();
  for (const exchange of exchanges) {
    if (exchange.method === 'GET') await replayRead(t, world, exchange, written);
    else await replayWrite(t, world, exchange, written);
  }
}

function leaveSwarm({ info, serving }: TestApi): void {
  info.LocalNodeState = 'inactive';
  info.ControlAvailable = false;
  serving.on = false;
}

/** Objects that a request refers to and that the recording shows nowhere, or only later. */
async function seedReferences({ store }: TestApi, recording: Recording): Promise<void> {
  for (const { method, url, requestBody, status, responseBody } of recording.exchanges) {
    const { path, query } = parseUrl(url);
    if (status === 200 && method === 'GET' && /^\/(nodes|swarm)(\/|$)/.test(path))
      await seed(store, path, query, responseBody);
    const text = JSON.stringify(requestBody ?? {});
    for (const kind of ['Secret', 'Config'] as const) {
      for (const [, ID, Name] of text.matchAll(new RegExp(`"${kind}ID":"(\\w+)","${kind}Name":"(\\w+)"`, 'g'))) {
        if (recording.command.startsWith('stack-deploy') && recording.command !== 'stack-deploy-attached') continue;
        const object = { ID, Spec: { Name, Labels: {}, Data: 'ZGF0YQ==' } };
        await seed(store, `/${kind.toLowerCase()}s/x`, query, object);
      }
    }
    for (const [, target] of text.matchAll(/"Target":"(\w+)"(?=[,}\]])/g)) {
      if (text.includes(`"Networks":[{"Target":"${target}"`) || /^[a-z0-9]{25}$/.test(target!))
        await seedNetwork(store, target!);
    }
  }
}

async function seedNetwork(store: TestApi['store'], target: string): Promise<void> {
  if (store.view.get('network', target) || [...store.view.find('network', 'name', target)].length > 0) return;
  const isId = /^[a-z0-9]{25}$/.test(target);
  const network = { Id: isId ? target : `${target}network`, Name: isId ? `net-${target}` : target, Scope: 'swarm' };
  await seed(store, '/networks/x', new URLSearchParams(), { ...network, Driver: 'overlay' });
}

async function replayRead(t: Test, world: TestApi, exchange: Exchange, written: Set<string>): Promise<void> {
  const { method, url, status, responseBody } = exchange;
  const { path, query } = parseUrl(url);
  if (status === 200) {
    compareWritten(t, world, responseBody, written);
    await seed(world.store, path, query, withoutDefaults(query, responseBody, world));
  }
  const answer = await world.request(method, url);
  t.equal(answer.status, status, `${method} ${url}`);
  t.equal(answer.headers['content-type'], 'application/json');
  t.same(comparableAnswer(path, answer.body), comparableAnswer(path, responseBody), `${method} ${url}`);
}

/** The specs that we stored must be those that the real Swarm stored of the same requests. */
function compareWritten(t: Test, { store }: TestApi, body: unknown, written: Set<string>): void {
  for (const object of Array.isArray(body) ? body : [body]) {
    const { ID, Spec } = object as { ID?: string; Spec?: unknown };
    if (ID === undefined || !written.delete(ID)) continue;
    const service = store.view.get('service', ID);
    t.same(
      comparable(service?.Spec),
      comparable(Spec),
      'the spec is stored in the form in which Docker Swarm stores it',
    );
  }
}

/** What was shown with defaults inserted is stored without them where it is known so. */
function withoutDefaults(query: URLSearchParams, body: unknown, { store }: TestApi): unknown {
  const known = store.view.get('service', String((body as Json)?.['ID']));
  return query.get('insertDefaults') === 'true' && known ? { ...(body as Json), Spec: known.Spec } : body;
}

async function replayWrite(t: Test, world: TestApi, exchange: Exchange, written: Set<string>): Promise<void> {
  const { method, url, requestBody, requestHeaders, status, responseBody } = exchange;
  const { path } = parseUrl(url);
  if (path === '/swarm/init' || path === '/swarm/join' || path === '/swarm/leave') return;
  if (status >= 400 && path === '/services/create') await seedConflict(world, requestBody as Json, status);
  if (method === 'DELETE') await seedRemoval(world, path, status);
  if (/^\/(secrets|configs)\/.*\/update$/.test(path)) await seedData(world, path, requestBody as Json);
  const present = presentVersion(world, path);
  const sent = url.replace(/version=\d+/, `version=${present}`);
  const answer = await world.request(method, sent, {
    ...(requestBody ? { body: requestBody } : {}),
    headers: requestHeaders,
  });
  t.equal(answer.status, status, `${method} ${url}: ${answer.raw.toString()}`);
  if (status >= 400) {
    t.same(answer.body, responseBody);
  } else if (path.endsWith('/create')) {
    const { ID: _1, Id: _2, ...rest } = answer.body as Json;
    const { ID, Id, ...recordedRest } = responseBody as Json;
    t.same(rest, recordedRest);
    await rename(
      world,
      path,
      String((answer.body as Json)['ID'] ?? (answer.body as Json)['Id']),
      String(ID ?? Id),
      written,
    );
  } else {
    t.same(answer.body, responseBody);
    const id = path.split('/')[2] ?? '';
    if (path.startsWith('/services/') && path.endsWith('/update')) written.add(id);
  }
}

function presentVersion({ store }: TestApi, path: string): number {
  const [, kind = '', id = ''] = path.split('/');
  if (kind === 'swarm') return store.view.get('cluster', 'cluster')?.Version.Index ?? 0;
  return store.view.get(kind.replace(/s$/, '') as 'service', id)?.Version.Index ?? 0;
}

async function seedConflict({ store }: TestApi, body: Json, status: number): Promise<void> {
  if (status !== 409) return;
  const spec = { ...body, EndpointSpec: { Mode: 'vip' } };
  await seed(store, '/services/x', new URLSearchParams(), { ID: 'conflicting', Spec: spec });
}

/** What must be there, or must not allow it, for a recorded removal. */
async function seedRemoval({ store }: TestApi, path: string, status: number): Promise<void> {
  const [, kind = '', ref = ''] = path.split('/');
  if (status === 404) return;
  const put = (folder: string, object: Json) => seed(store, `/${folder}/x`, new URLSearchParams(), object);
  if (kind === 'nodes') {
    await put(kind, { ID: ref, Spec: { Role: 'manager' }, Status: { State: 'ready' } });
  } else if (kind === 'networks') {
    const [network] = [store.view.get('network', ref), ...store.view.find('network', 'name', ref)].filter(Boolean);
    if (!network) await put(kind, { Id: ref, Name: ref, Scope: 'swarm' });
    const TaskTemplate = { Networks: [{ Target: network?.ID }] };
    if (status === 400)
      await put('services', { ID: 'ri60jbzxrdiyrv837jj8u3ksq', Spec: { Name: 'full', TaskTemplate } });
  } else if (!store.view.get(kind.replace(/s$/, '') as 'service', ref)) {
    await put(kind, { ID: ref, Spec: { Name: ref, Labels: {} } });
  }
}

/** The data of a secret is in no answer; the client sends back what it once stored. */
async function seedData({ store }: TestApi, path: string, body: Json): Promise<void> {
  const [, kind = '', id = ''] = path.split('/');
  await store.update((tx) => {
    const object = tx.get(kind.replace(/s$/, '') as 'secret', id)!;
    tx.put(kind.replace(/s$/, '') as 'secret', { ...object, Spec: { ...object.Spec, Data: String(body['Data']) } });
  });
}

/** Gives what we created the ID that it has in the recording. */
async function rename(
  world: TestApi,
  path: string,
  own: string,
  recorded: string,
  written: Set<string>,
): Promise<void> {
  const table = path.split('/')[1]!.replace(/s$/, '') as 'service' | 'secret' | 'config' | 'network';
  await world.store.update((tx) => {
    const { Version: _1, CreatedAt: _2, UpdatedAt: _3, ...object } = tx.get(table, own)!;
    tx.delete(table, own);
    if (tx.get(table, recorded)) tx.delete(table, recorded);
    tx.create(table, { ...object, ID: recorded } as never);
  });
  if (table === 'service') written.add(recorded);
}

function comparableAnswer(path: string, body: unknown): unknown {
  const own = comparable(body);
  if (!path.startsWith('/networks')) return own;
  const strip = (network: unknown): unknown => {
    const rest = { ...(network as Json) };
    for (const key of RUNTIME_OF_NETWORKS) delete rest[key];
    return rest;
  };
  return Array.isArray(own) ? own.map(strip) : strip(own);
}
