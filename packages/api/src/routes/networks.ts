import {
  type ApiObject,
  type Control,
  type Filters,
  isErrorCode,
  NETWORK_DRIVER,
  NETWORK_OPTION,
  SwarmdError,
} from '@swarmd/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ApiContext, requireControl } from '../context.js';
import { proxyRequest } from '../engine/proxy.js';
import { filters, flag, type Query, text } from '../http/query.js';

type WithId = { Params: { id: string }; Querystring: Query };

/**
 * `/networks`: those of scope swarm are ours, all others the engine's. Where a name could be either, ours is meant,
 * unless `scope=local` says otherwise; the networks every engine has (`host`, `bridge`) are its own unless
 * `scope=swarm` asks for what services attach to.
 */
export async function networkRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const { membership } = context;

  app.get<{ Querystring: Query }>('/networks', async ({ query }) => listNetworks(context, query));

  app.get<WithId>('/networks/:id', async (request, reply) => {
    const { params, query } = request;
    const scope = text(query, 'scope');
    const options = { verbose: flag(query, 'verbose') };
    if (scope === 'swarm') {
      return withContainers(context, toHttp(await requireControl(membership).getNetwork(params.id, options)));
    }
    const own = scope === 'local' ? undefined : await ownNetwork(membership.control(), params.id, options);
    return own ? withContainers(context, toHttp(own)) : passOn(context, request, reply);
  });

  app.post<{ Body: Record<string, unknown> | undefined }>('/networks/create', async (request, reply) => {
    const body = request.body ?? {};
    if (body['Driver'] !== 'overlay' && body['Scope'] !== 'swarm') {
      return passOn(context, request, reply, Buffer.from(JSON.stringify(body)));
    }
    const { ID, Warnings } = await requireControl(membership).createNetwork(body);
    return reply.code(201).send({ Id: ID, Warning: Warnings.join('\n') });
  });

  app.delete<WithId>('/networks/:id', async (request, reply) => {
    const control = membership.control();
    const own = await ownNetwork(control, request.params.id);
    if (own === undefined || control === undefined) return passOn(context, request, reply);
    await control.removeNetwork(own.ID);
    return reply.code(204).send();
  });
}

const PREDEFINED = new Set(['host', 'bridge', 'none']);

async function ownNetwork(
  control: Control | undefined,
  ref: string,
  options: { verbose: boolean } = { verbose: false },
): Promise<ApiObject | undefined> {
  if (control === undefined || PREDEFINED.has(ref)) return undefined;
  try {
    return await control.getNetwork(ref, options);
  } catch (thrown) {
    if (isErrorCode(thrown, 'not-found')) return undefined;
    throw thrown;
  }
}

async function passOn(
  { engine }: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  body?: Buffer,
): Promise<FastifyReply> {
  reply.hijack();
  await proxyRequest(engine, request.originalUrl, request.raw, reply.raw, body);
  return reply;
}

/** Label on the engine's networks that are this host's end of a swarm-scoped one: its ID. Written by the agent. */
const NETWORK_LABEL = 'com.swarmd.network.id';

/** The cluster's network, by ID, whose end an engine's network is; empty when it does not say. */
function standsFor(network: Record<string, unknown>): string | undefined {
  const label = (network['Labels'] as Record<string, string> | null)?.[NETWORK_LABEL];
  if (label !== undefined || network['Driver'] !== NETWORK_DRIVER) return label;
  return (network['Options'] as Record<string, string> | null)?.[NETWORK_OPTION] ?? '';
}

/** A swarm-scoped network with the containers that are on it on this host, as Docker shows it. */
async function withContainers(context: ApiContext, network: Record<string, unknown>): Promise<Record<string, unknown>> {
  const local = await localEnd(context, String(network['Id']));
  if (local === undefined) return network;
  const { status, body } = await context.engine.json('GET', `/networks/${String(local['Id'])}`);
  if (status !== 200) return network;
  return { ...network, Containers: (body as Record<string, unknown>)['Containers'] ?? null };
}

async function localEnd(context: ApiContext, id: string): Promise<Record<string, unknown> | undefined> {
  const labelled = await engineNetworks(context, { label: [`${NETWORK_LABEL}=${id}`] });
  // A bridge of an earlier swarmd may still be beside it.
  const end = labelled.find(({ Driver }) => Driver === NETWORK_DRIVER) ?? labelled[0];
  if (end !== undefined) return end;
  const driven = await engineNetworks(context, { driver: [NETWORK_DRIVER] });
  return driven.find((network) => standsFor(network) === id);
}

/** The API spells a network's ID `Id`. */
function toHttp({ ID: _, ...network }: ApiObject): Record<string, unknown> {
  return network;
}

async function listNetworks(context: ApiContext, query: Query): Promise<unknown[]> {
  const { membership } = context;
  const given = filters(query);
  const scopes = given['scope'] ?? [];
  const control = membership.control();
  const own = control && !onlyOthers(scopes, 'swarm') ? (await control.listNetworks(given)).map(toHttp) : [];
  if (onlyOthers(scopes, 'local') && onlyOthers(scopes, 'global')) return own;
  const others = await engineNetworks(context, given);
  // What stands for a swarm-scoped network on this host is that network to users, not a second one; and those of a Docker
  // Swarm that the engine may be in are none of the cluster's.
  const isShown = (network: Record<string, unknown>): boolean =>
    standsFor(network) === undefined && network['Scope'] !== 'swarm';
  const shown = control ? others.filter(isShown) : others;
  return [...own, ...shown];
}

/** The engine's networks; none, with a warning in the log, while it is away: ours can still be used. */
async function engineNetworks(
  { engine, logger }: ApiContext,
  given: Filters,
): Promise<readonly Record<string, unknown>[]> {
  const path = `/networks?filters=${encodeURIComponent(JSON.stringify(given))}`;
  try {
    const { status, body } = await engine.json('GET', path);
    if (status !== 200) throw engineRefusal(body);
    return body as Record<string, unknown>[];
  } catch (thrown) {
    if (!isErrorCode(thrown, 'unavailable')) throw thrown;
    logger.warn({ err: thrown }, 'listing networks without the engine');
    return [];
  }
}

/** Whether a scope filter is given and leaves out `scope`. */
function onlyOthers(scopes: readonly string[], scope: string): boolean {
  return scopes.length > 0 && !scopes.includes(scope);
}

function engineRefusal(body: unknown): SwarmdError {
  const message = (body as { message?: unknown } | undefined)?.message;
  return new SwarmdError('invalid-argument', typeof message === 'string' ? message : 'the engine refuses the request');
}
