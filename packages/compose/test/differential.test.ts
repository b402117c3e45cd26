import { join } from 'node:path';
import t from 'tap';
import { type Stack, toStack } from '../src/index.js';
import { oracleMissing, recordStackDeploy, type Sent } from './docker-cli.js';
import { FIXTURES, loadFrom } from './from-disk.js';

const DIRECTORY = join(FIXTURES, 'deploy');
const ENV = { HOME: '/home/someone', KNOWN: 'from the environment', INHERITED: 'as well' };
const STACKS = [['minimal.yaml'], ['everything.yaml'], ['base.yaml', 'override.yaml'], ['example-docker-stack.yaml']];

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

const missing = await oracleMissing();

for (const files of STACKS) {
  t.test(
    `differential › ${files.join(' + ')} becomes what docker stack deploy sends`,
    { skip: missing ?? false },
    async (t) => {
      const sent = await recordStackDeploy(DIRECTORY, files, 'ns', ENV);
      const stack = toStack(loadFrom(DIRECTORY, files, ENV).project, { namespace: 'ns' });
      const services = sentTo(sent, '/services/create').map(sortPorts);
      t.ok(services.length > 0, 'the CLI created services');
      t.same(byName(stack.services.map((spec) => sortPorts(structuredClone(spec)))), byName(services));
      t.same(byName(stack.networks), byName(sentTo(sent, '/networks/create')));
      t.same(byName(ours(stack, 'secrets')), byName(sentTo(sent, '/secrets/create')));
      t.same(byName(ours(stack, 'configs')), byName(sentTo(sent, '/configs/create')));
    },
  );
}
