import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Stack, toStack } from '../src/index.js';
import { oracleMissing, recordStackDeploy, type Sent } from './docker-cli.js';
import { FIXTURES, loadFrom } from './from-disk.js';

const DIRECTORY = join(FIXTURES, 'deploy');
const ENV = { HOME: '/home/someone', KNOWN: 'from the environment', INHERITED: 'as well' };
/** Each with its recording, `NAME.sent.json`: what docker CLI 28.2.2 sent. `RECORD=1` records again. */
const STACKS = [
  ['minimal.yaml'],
  ['captured.yaml'],
  ['everything.yaml'],
  ['base.yaml', 'override.yaml'],
  ['example-docker-stack.yaml'],
];

type Json = Record<string, unknown>;

/** What the CLI has looked up and we leave to the deploy. */
const IDS = ['SecretID', 'ConfigID'];

/** `value` without nulls, '' and false, which the API takes for absent (but options of drivers may be ''), and without IDs. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key, v]) => key === 'encrypted' || !(IDS.includes(key) || v === null || v === '' || v === false),
  );
  // Sorted, so that a failing diff shows only what differs.
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, v]) => [key, withoutEmpty(v)]));
}

/** The CLI keeps ports of equal number in the order of the file, we sort them further. */
function sortPorts(spec: Json): Json {
  const endpoint = spec['EndpointSpec'] as { Ports?: { PublishedPort?: number; TargetPort: number }[] };
  endpoint.Ports?.sort((a, b) => (a.PublishedPort ?? 0) - (b.PublishedPort ?? 0) || a.TargetPort - b.TargetPort);
  return spec;
}

function byName(values: readonly unknown[]): unknown[] {
  return values
    .map(withoutEmpty)
    .sort((a, b) => String((a as Json)['Name']).localeCompare(String((b as Json)['Name'])));
}

function sentTo(sent: readonly Sent[], url: string): Json[] {
  return sent.filter((request) => request.url === url).map((request) => request.body);
}

function ours(stack: Stack, kind: 'secrets' | 'configs'): unknown[] {
  return stack[kind].filter((object) => !object.external).map((object) => object.spec);
}

/** Requests in an order of their own: the CLI walks maps, whose order in Go is random. */
function inOrder(sent: readonly Sent[]): unknown[] {
  const key = ({ url, body }: Sent) => `${url} ${String(body['Name'])}`;
  return [...sent].sort((a, b) => (key(a) < key(b) ? -1 : 1)).map(({ url, body }) => withoutEmpty({ url, body }));
}

/** Recordings hold no path of the machine they were made on. */
function portable(sent: readonly Sent[]): string {
  return `${JSON.stringify(inOrder(sent), null, 1).replaceAll(DIRECTORY, '/fixtures')}\n`;
}

const missing = await oracleMissing();

for (const files of STACKS) {
  const name = files.join(' + ');
  const recording = join(DIRECTORY, `${files[0]!.replace('.yaml', '')}.sent.json`);
  const record = async () => portable(await recordStackDeploy(DIRECTORY, files, 'ns', ENV));
  if (process.env['RECORD'] === '1' && missing === undefined) writeFileSync(recording, await record());

  t.test(`stack › ${name} becomes what docker stack deploy sent`, async (t) => {
    const sent = JSON.parse(readFileSync(recording, 'utf8').replaceAll('/fixtures', DIRECTORY)) as Sent[];
    const { project, warnings } = loadFrom(DIRECTORY, files, ENV);
    const stack = toStack(project, { namespace: 'ns' });
    t.same(
      [...warnings, ...stack.warnings].filter((problem) => problem.severity === 'error'),
      [],
    );
    const services = sentTo(sent, '/services/create').map(sortPorts);
    t.ok(services.length > 0, 'there are services in the recording');
    t.same(byName(stack.services.map((spec) => sortPorts(structuredClone(spec)))), byName(services));
    t.same(byName(stack.networks), byName(sentTo(sent, '/networks/create')));
    t.same(byName(ours(stack, 'secrets')), byName(sentTo(sent, '/secrets/create')));
    t.same(byName(ours(stack, 'configs')), byName(sentTo(sent, '/configs/create')));
  });

  t.test(
    `stack › the recording of ${name} is what the docker CLI sends today`,
    { skip: missing ?? false },
    async (t) => {
      t.equal(await record(), readFileSync(recording, 'utf8'));
    },
  );
}
