import type { ApiObject, Control, Filters } from '@swarmd/model';
import type { FastifyInstance } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { filters, type Query, version } from '../http/query.js';
import { sendList } from '../http/send-list.js';

type WithId = { Params: { id: string }; Querystring: Query };

/** The five things that can be done with secrets, and with configs. */
interface DataMethods {
  list(filters: Filters): Promise<ApiObject[]>;
  get(ref: string): Promise<ApiObject>;
  create(body: unknown): Promise<{ ID: string }>;
  update(ref: string, version: number, body: unknown): Promise<void>;
  remove(ref: string): Promise<void>;
}

const secrets = (control: Control): DataMethods => ({
  list: (given) => control.listSecrets(given),
  get: (ref) => control.getSecret(ref),
  create: (body) => control.createSecret(body),
  update: (ref, index, body) => control.updateSecret(ref, index, body),
  remove: (ref) => control.removeSecret(ref),
});

const configs = (control: Control): DataMethods => ({
  list: (given) => control.listConfigs(given),
  get: (ref) => control.getConfig(ref),
  create: (body) => control.createConfig(body),
  update: (ref, index, body) => control.updateConfig(ref, index, body),
  remove: (ref) => control.removeConfig(ref),
});

/** `/secrets` and `/configs`: list, inspect, create, update (labels), remove. */
export async function dataRoutes(app: FastifyInstance, { membership }: ApiContext): Promise<void> {
  mount(app, 'secret', () => secrets(requireControl(membership)));
  mount(app, 'config', () => configs(requireControl(membership)));
}

function mount(app: FastifyInstance, kind: 'secret' | 'config', methods: () => DataMethods): void {
  const base = `/${kind}s`;
  app.get<{ Querystring: Query }>(base, async ({ query }, reply) =>
    sendList(reply, await methods().list(filters(query))),
  );
  app.get<WithId>(`${base}/:id`, async ({ params }) => methods().get(params.id));
  app.post(`${base}/create`, async ({ body }, reply) => reply.code(201).send(await methods().create(body)));
  app.post<WithId>(`${base}/:id/update`, async ({ params, query, body }, reply) => {
    await methods().update(params.id, version(query, kind), body);
    return reply.send();
  });
  app.delete<WithId>(`${base}/:id`, async ({ params }, reply) => {
    await methods().remove(params.id);
    return reply.code(204).send();
  });
}
