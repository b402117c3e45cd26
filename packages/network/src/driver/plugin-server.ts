import { asSwarmdError, type Clock, SwarmdError } from '@swarmd/model';
import fastify, { type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { within } from '../deadline.js';
import { ADDRESS_SPACE, type IpamDriver } from './ipam-driver.js';
import {
  CreateEndpointSchema,
  CreateNetworkSchema,
  DeleteNetworkSchema,
  EndpointSchema,
  JoinSchema,
  ReleaseAddressSchema,
  RequestAddressSchema,
  RequestPoolSchema,
} from './messages.js';
import type { NetworkDriver } from './network-driver.js';

/** Both drivers. */
export interface Drivers {
  network: NetworkDriver;
  ipam: IpamDriver;
}

/** What the plugin is served with. */
export interface PluginOptions {
  /** Calls wait for it, within their deadline: the engine may ask before the state is read. */
  drivers: Promise<Drivers>;
  clock: Clock;
  logger: Logger;
}

/** The engine holds locks while it waits, and gives up after 30 s itself. */
const CALL_MS = 15_000;
/** What ends an endpoint is done later if it cannot be done now: the engine would keep the container otherwise. */
const END_MS = 5000;

const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';

/** One call of the engine. */
interface Call {
  /** Whether it ends something: then it is answered as done when it takes too long or fails. */
  ends?: boolean;
  run(drivers: Drivers, body: unknown): object | Promise<object>;
}

function call<S extends z.ZodType>(
  schema: S,
  run: (drivers: Drivers, body: z.infer<S>) => object | Promise<object>,
): Call {
  return { run: (drivers, body) => run(drivers, checked(schema, body)) };
}

function ending<S extends z.ZodType>(
  schema: S,
  run: (drivers: Drivers, body: z.infer<S>) => Promise<void> | void,
): Call {
  return {
    ends: true,
    run: async (drivers, body) => {
      await run(drivers, checked(schema, body));
      return {};
    },
  };
}

function checked<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new SwarmdError('invalid-argument', `the engine sent what is not understood: ${field}: ${issue?.message}`, {
    field,
  });
}

/** What is the same whatever the state: answered from the first moment, as the engine keeps it until it restarts. */
const CONSTANTS: Readonly<Record<string, object>> = {
  '/Plugin.Activate': { Implements: ['NetworkDriver', 'IpamDriver'] },
  '/NetworkDriver.GetCapabilities': { Scope: 'local', ConnectivityScope: 'global' },
  '/NetworkDriver.DiscoverNew': {},
  '/NetworkDriver.DiscoverDelete': {},
  '/NetworkDriver.ProgramExternalConnectivity': {},
  '/NetworkDriver.RevokeExternalConnectivity': {},
  '/IpamDriver.GetCapabilities': { RequiresMACAddress: false, RequiresRequestReplay: false },
  '/IpamDriver.GetDefaultAddressSpaces': {
    LocalDefaultAddressSpace: ADDRESS_SPACE,
    GlobalDefaultAddressSpace: ADDRESS_SPACE,
  },
  '/IpamDriver.ReleasePool': {},
};

const CALLS: Readonly<Record<string, Call>> = {
  '/NetworkDriver.CreateNetwork': call(CreateNetworkSchema, async ({ network }, body) => {
    await network.createNetwork(body);
    return {};
  }),
  '/NetworkDriver.DeleteNetwork': ending(DeleteNetworkSchema, ({ network }, body) =>
    network.deleteNetwork(body.NetworkID),
  ),
  '/NetworkDriver.CreateEndpoint': call(CreateEndpointSchema, async ({ network }, body) => {
    const { macAddress } = await network.createEndpoint(body);
    return macAddress === '' ? { Interface: {} } : { Interface: { MacAddress: macAddress } };
  }),
  '/NetworkDriver.DeleteEndpoint': ending(EndpointSchema, ({ network }, body) =>
    network.deleteEndpoint(body.EndpointID),
  ),
  '/NetworkDriver.EndpointOperInfo': call(EndpointSchema, ({ network }, body) => ({ Value: network.info(body) })),
  // Without a gateway of ours the engine makes a way out of its own, for published ports and other networks.
  '/NetworkDriver.Join': call(JoinSchema, async ({ network }, body) => {
    const { interfaceName } = await network.join(body);
    return { InterfaceName: { SrcName: interfaceName, DstPrefix: 'eth' } };
  }),
  '/NetworkDriver.Leave': ending(EndpointSchema, ({ network }, body) => network.leave(body.EndpointID)),
  '/IpamDriver.RequestPool': call(RequestPoolSchema, ({ ipam }, body) => ipam.requestPool(body)),
  '/IpamDriver.RequestAddress': call(RequestAddressSchema, ({ ipam }, body) => ipam.requestAddress(body)),
  '/IpamDriver.ReleaseAddress': ending(ReleaseAddressSchema, ({ ipam }, body) => ipam.releaseAddress(body)),
};

/**
 * The engine's plugin: network and IPAM driver. Every call is answered within {@link CALL_MS}; errors are
 * `{"Err": …}`, as the engine shows them to its user.
 */
export function createPluginServer(options: PluginOptions): FastifyInstance {
  const { drivers, clock, logger } = options;
  const app = fastify({ logger: false, bodyLimit: 1024 * 1024, forceCloseConnections: true });
  // The engine sends JSON under types of its own, and no body at all with some calls.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => {
    const { message } = asSwarmdError(error);
    return reply.status(500).type(CONTENT_TYPE).send({ Err: message });
  });
  app.post('/*', async (request, reply) => {
    const path = request.url;
    reply.type(CONTENT_TYPE);
    const constant = CONSTANTS[path];
    if (constant !== undefined) return constant;
    const wanted = Object.hasOwn(CALLS, path) ? CALLS[path] : undefined;
    if (wanted === undefined) return reply.status(404).send({ Err: `swarmd does not know ${path}` });
    const startedMs = clock.monotonic();
    const answer = await answerCall(path, wanted, request.body);
    logger.debug({ path, ms: Math.round(clock.monotonic() - startedMs), answer }, 'the engine called');
    // The engine reads an error only from an answer that is one.
    return reply.status('Err' in answer ? 500 : 200).send(answer);
  });

  async function answerCall(path: string, wanted: Call, body: unknown): Promise<object> {
    const ms = wanted.ends ? END_MS : CALL_MS;
    const onLate = (error: unknown): void => logger.warn({ err: error, path }, 'a call of the engine failed late');
    try {
      const json = typeof body === 'string' && body.trim() !== '' ? (JSON.parse(body) as unknown) : {};
      const work = drivers.then((ready) => wanted.run(ready, json));
      return await within(clock, ms, 'it', work, onLate);
    } catch (error) {
      const { code, message } = asSwarmdError(error);
      logger.warn({ path, code, err: error }, `the engine's call failed: ${message}`);
      return wanted.ends ? {} : { Err: `swarmd: ${message}` };
    }
  }

  return app;
}
