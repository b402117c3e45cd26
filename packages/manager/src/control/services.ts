import { isDeepStrictEqual } from 'node:util';
import {
  type Control,
  idFromBytes,
  isJob,
  modeName,
  type Service,
  type ServiceSpec,
  type ServiceWriteOptions,
  SwarmdError,
  specKey,
  type WriteTx,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { nameConflict, outOfSequence, rpcError } from './errors.js';
import { checkDnsName, randomName } from './names.js';
import { resolve } from './references.js';
import { checkDataReferences, checkPortConflicts, withNetworkIds } from './service-references.js';
import { expandSpecTemplates } from './templates.js';
import { parseServiceSpec } from './validation.js';

type ServiceWrites = Pick<Control, 'createService' | 'updateService' | 'removeService' | 'explainService'>;

/** The writes of services: each is one transaction that checks names, ports and references again. */
export function serviceWrites({ store, random, explain }: ControlDependencies): ServiceWrites {
  const parse = (body: unknown): ServiceSpec => parseServiceSpec(body, expandSpecTemplates);
  return {
    async createService(body, options) {
      const parsed = parse(body);
      const spec = parsed.Name ? parsed : { ...parsed, Name: randomName(random) };
      const id = idFromBytes(random.bytes(17));
      await store.update((tx) => create(tx, id, spec, options));
      return { ID: id, Warnings: [] };
    },
    async updateService(ref, version, body, options) {
      if (options.rollback !== undefined && options.rollback !== 'previous') {
        throw new SwarmdError('invalid-argument', `unrecognized rollback option ${String(options.rollback)}`);
      }
      // A rollback uses the spec that the service already has; what the client sent with it decides nothing.
      const parsed = options.rollback === 'previous' ? undefined : parse(body);
      await store.update((tx) => {
        const service = resolve(tx, 'service', ref);
        if (service.Version.Index !== version) throw outOfSequence();
        if (parsed === undefined) rollBack(tx, service);
        else update(tx, service, parsed, options);
      });
      return { Warnings: [] };
    },
    async removeService(ref) {
      await store.update((tx) => {
        tx.put('service', { ...resolve(tx, 'service', ref), PendingDelete: true });
      });
    },
    async explainService(ref) {
      return explain(store.view, resolve(store.view, 'service', ref).ID);
    },
  };
}

function create(tx: WriteTx, id: string, parsed: ServiceSpec, options: ServiceWriteOptions): void {
  checkDnsName(parsed.Name ?? '');
  for (const other of tx.find('service', 'name', (parsed.Name ?? '').toLowerCase())) {
    throw nameConflict(`name conflicts with an existing object: service ${other.Spec.Name} already exists`);
  }
  const spec = withNetworkIds(tx, parsed);
  checkDataReferences(tx, spec);
  checkPortConflicts(tx, spec.EndpointSpec, id);
  const auth = options.registryAuth ? { RegistryAuth: options.registryAuth } : {};
  const job = isJob(spec) ? { JobStatus: { JobIteration: { Index: 0 }, LastExecution: tx.now } } : {};
  tx.create('service', { ID: id, Spec: spec, SpecVersion: tx.index, ...auth, ...job });
  writeSpecRecord(tx, id, tx.index, spec, options.registryAuth);
}

function update(tx: WriteTx, service: Service, parsed: ServiceSpec, options: ServiceWriteOptions): void {
  const named = parsed.Name === '' ? { ...parsed, Name: service.Spec.Name ?? '' } : parsed;
  if (modeName(named) !== modeName(service.Spec)) {
    throw rpcError('unimplemented', 'service mode change is not allowed', 'Mode');
  }
  if (named.Name !== service.Spec.Name) throw rpcError('unimplemented', 'renaming services is not supported', 'Name');
  const spec = withNetworkIds(tx, named);
  checkDataReferences(tx, spec);
  checkPortConflicts(tx, spec.EndpointSpec, service.ID);
  const auth = registryAuth(service, options);
  if (isDeepStrictEqual(spec, service.Spec)) refresh(tx, service, auth);
  else replaceSpec(tx, service, spec, auth);
}

function registryAuth(service: Service, options: ServiceWriteOptions): string | undefined {
  if (options.registryAuth) return options.registryAuth;
  return options.registryAuthFrom === 'previous-spec' ? service.PreviousRegistryAuth : service.RegistryAuth;
}

function replaceSpec(tx: WriteTx, service: Service, spec: ServiceSpec, auth: string | undefined): void {
  const next = omit(service, ['UpdateStatus', 'UpdateProgress', 'RegistryAuth', 'PreviousRegistryAuth']);
  tx.put('service', {
    ...next,
    Spec: spec,
    SpecVersion: tx.index,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...(auth ? { RegistryAuth: auth } : {}),
    ...(service.RegistryAuth ? { PreviousRegistryAuth: service.RegistryAuth } : {}),
    ...nextJobIteration(tx, service),
  });
  writeSpecRecord(tx, service.ID, tx.index, spec, auth);
}

/** The same spec again changes nothing, except that it takes new credentials and lets a paused update go on. */
function refresh(tx: WriteTx, service: Service, auth: string | undefined): void {
  const paused = service.UpdateStatus?.State === 'paused' || service.UpdateStatus?.State === 'rollback_paused';
  if (!paused && auth === service.RegistryAuth) return;
  const next = paused ? omit(service, ['UpdateStatus', 'UpdateProgress']) : service;
  tx.put('service', auth ? { ...next, RegistryAuth: auth } : next);
  if (auth !== service.RegistryAuth) writeSpecRecord(tx, service.ID, service.SpecVersion, service.Spec, auth);
}

function rollBack(tx: WriteTx, service: Service): void {
  if (service.PreviousSpec === undefined || service.PreviousSpecVersion === undefined) {
    throw rpcError('failed-precondition', `service ${service.ID} does not have a previous spec`);
  }
  const spec = service.PreviousSpec;
  checkDataReferences(tx, spec);
  checkPortConflicts(tx, spec.EndpointSpec, service.ID);
  tx.put('service', {
    ...omit(service, ['UpdateStatus', 'UpdateProgress', 'RegistryAuth', 'PreviousRegistryAuth']),
    Spec: spec,
    SpecVersion: service.PreviousSpecVersion,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...(service.PreviousRegistryAuth ? { RegistryAuth: service.PreviousRegistryAuth } : {}),
    ...(service.RegistryAuth ? { PreviousRegistryAuth: service.RegistryAuth } : {}),
    // A job begins anew with the spec that it had; there is no rollback to follow.
    ...(isJob(spec) ? nextJobIteration(tx, service) : { UpdateStatus: requestedRollback(tx.now) }),
  });
  writeSpecRecord(tx, service.ID, service.PreviousSpecVersion, spec, service.PreviousRegistryAuth);
}

function requestedRollback(now: string): NonNullable<Service['UpdateStatus']> {
  return { State: 'rollback_started', StartedAt: now, Message: 'manually requested rollback' };
}

function nextJobIteration(tx: WriteTx, service: Service): Pick<Service, 'JobStatus'> {
  if (!isJob(service.Spec)) return {};
  const iteration = (service.JobStatus?.JobIteration.Index ?? 0) + 1;
  return { JobStatus: { JobIteration: { Index: iteration }, LastExecution: tx.now } };
}

function writeSpecRecord(tx: WriteTx, id: string, version: number, spec: ServiceSpec, auth: string | undefined): void {
  const key = specKey(id, version);
  const present = tx.get('spec', key);
  const credentials = auth ? { RegistryAuth: auth } : {};
  if (present === undefined) {
    tx.create('spec', { ID: key, ServiceID: id, SpecVersion: version, Spec: spec, ...credentials });
  } else if (present.RegistryAuth !== auth) {
    tx.put('spec', { ...omit(present, ['RegistryAuth']), ...credentials });
  }
}

function omit<O extends object, K extends keyof O>(object: O, keys: readonly K[]): Omit<O, K> {
  const result = { ...object };
  for (const key of keys) delete result[key];
  return result;
}
