import { z } from 'zod';

/**
 * What the engine sends to its network and IPAM drivers (moby's libnetwork: drivers/remote/api, ipams/remote/api), as
 * engines 20.10, 26.1 and 28.5 do. Options of an endpoint's driver arrive among the options of CreateEndpoint.
 */

/** Go writes a nil map as null. */
const options = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {});
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');

const ipamData = z
  .array(z.object({ AddressSpace: text, Pool: text, Gateway: text }))
  .nullish()
  .transform((value) => value ?? []);

/** `/NetworkDriver.CreateNetwork` */
export const CreateNetworkSchema = z.object({
  NetworkID: z.string().min(1),
  Options: options,
  IPv4Data: ipamData,
  IPv6Data: ipamData,
});
/** `/NetworkDriver.DeleteNetwork` */
export const DeleteNetworkSchema = z.object({ NetworkID: z.string().min(1) });
/** `/NetworkDriver.CreateEndpoint` */
export const CreateEndpointSchema = z.object({
  NetworkID: z.string().min(1),
  EndpointID: z.string().min(1),
  Options: options,
  Interface: z
    .object({ Address: text, AddressIPv6: text, MacAddress: text })
    .nullish()
    .transform((value) => value ?? { Address: '', AddressIPv6: '', MacAddress: '' }),
});
/** `/NetworkDriver.Leave`, `.DeleteEndpoint`, `.EndpointOperInfo` and others that name an endpoint. */
export const EndpointSchema = z.object({ NetworkID: z.string().min(1), EndpointID: z.string().min(1) });
/** `/NetworkDriver.Join` */
export const JoinSchema = EndpointSchema.extend({ SandboxKey: z.string().min(1) });
/** `/IpamDriver.RequestPool` */
export const RequestPoolSchema = z.object({ Pool: text, SubPool: text, Options: options, V6: z.boolean().nullish() });
/** `/IpamDriver.RequestAddress` */
export const RequestAddressSchema = z.object({ PoolID: z.string().min(1), Address: text, Options: options });
/** `/IpamDriver.ReleaseAddress` */
export const ReleaseAddressSchema = z.object({ PoolID: z.string().min(1), Address: text });

/** Under it, in the options of CreateNetwork, stand those that the network was created with. */
export const GENERIC_OPTIONS = 'com.docker.network.generic';
/** Among the options of RequestAddress: what the address is for. */
export const ADDRESS_TYPE = 'RequestAddressType';
/** The value of {@link ADDRESS_TYPE} that asks for a gateway. */
export const GATEWAY_TYPE = 'com.docker.network.gateway';
/** Among the options of CreateEndpoint: the name servers that the container was created with. */
export const DNS_SERVERS = 'com.docker.network.endpoint.dnsservers';
