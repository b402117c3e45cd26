import { isDeepStrictEqual } from 'node:util';
import {
  type ApiObject,
  type Config,
  type ConfigSpec,
  ConfigSpecSchema,
  type Control,
  type Filters,
  idFromBytes,
  type ReadView,
  type Secret,
  type SecretSpec,
  SecretSpecSchema,
  type Service,
  SwarmdError,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { invalid, nameConflict, outOfSequence } from './errors.js';
import { checkFilters, labelTest, prefixTest, select } from './filters.js';
import { checkDataName } from './names.js';
import { parseBody } from './parse.js';
import { resolve } from './references.js';

type Kind = 'secret' | 'config';
type DataSpec = SecretSpec | ConfigSpec;

const SCHEMAS = { secret: SecretSpecSchema, config: ConfigSpecSchema } as const;
const FILTERS = ['name', 'names', 'id', 'label'];
/** Sizes must stay below these (swarmkit `MaxSecretSize`, `MaxConfigSize`). */
const MAX_BYTES = { secret: 500 * 1024, config: 1000 * 1024 } as const;

/** Secrets and configs differ in their limit and in what is shown; all else is one code. */
interface DataControl {
  list(filters: Filters): Promise<ApiObject[]>;
  get(ref: string): Promise<ApiObject>;
  create(body: unknown): Promise<{ ID: string }>;
  update(ref: string, version: number, body: unknown): Promise<void>;
  remove(ref: string): Promise<void>;
}

/** The secret methods of {@link Control}. The data of a secret is never given out. */
export function secretControl(
  deps: ControlDependencies,
): Pick<Control, 'listSecrets' | 'getSecret' | 'createSecret' | 'updateSecret' | 'removeSecret'> {
  const { list, get, create, update, remove } = dataControl('secret', deps);
  return { listSecrets: list, getSecret: get, createSecret: create, updateSecret: update, removeSecret: remove };
}

/** The config methods of {@link Control}. */
export function configControl(
  deps: ControlDependencies,
): Pick<Control, 'listConfigs' | 'getConfig' | 'createConfig' | 'updateConfig' | 'removeConfig'> {
  const { list, get, create, update, remove } = dataControl('config', deps);
  return { listConfigs: list, getConfig: get, createConfig: create, updateConfig: update, removeConfig: remove };
}

function dataControl(kind: Kind, { store, random }: ControlDependencies): DataControl {
  return {
    async list(filters) {
      checkFilters(filters, FILTERS);
      const found = select<Secret | Config>(store.view.all(kind), [
        prefixTest(filters['name'] ?? filters['names'], (o) => o.Spec.Name),
        prefixTest(filters['id'], (o) => o.ID),
        labelTest(filters['label'], (o) => o.Spec.Labels),
      ]);
      return found.map((object) => toApi(kind, object));
    },
    async get(ref) {
      return toApi(kind, resolve(store.view, kind, ref));
    },
    async create(body) {
      const spec = parseSpec(kind, body);
      checkDataName(spec.Name);
      checkSize(kind, spec);
      const id = idFromBytes(random.bytes(17));
      await store.update((tx) => {
        for (const _ of tx.find(kind, 'name', spec.Name.toLowerCase())) {
          throw nameConflict(`${kind} ${spec.Name} already exists`);
        }
        tx.create(kind, { ID: id, Spec: spec });
      });
      return { ID: id };
    },
    async update(ref, version, body) {
      const spec = parseSpec(kind, body);
      await store.update((tx) => {
        const object = resolve(tx, kind, ref);
        if (object.Version.Index !== version) throw outOfSequence();
        checkOnlyLabels(spec, object.Spec);
        tx.put(kind, { ...object, Spec: { ...object.Spec, Labels: spec.Labels ?? {} } });
      });
    },
    async remove(ref) {
      await store.update((tx) => {
        const object = resolve(tx, kind, ref);
        const users = servicesUsing(tx, kind, object.ID);
        if (users.length > 0) {
          const word = users.length === 1 ? 'service' : 'services';
          throw invalid(`${kind} '${object.Spec.Name}' is in use by the following ${word}: ${users.join(', ')}`);
        }
        tx.delete(kind, object.ID);
      });
    },
  };
}

function parseSpec(kind: Kind, body: unknown): DataSpec {
  const spec = parseBody<DataSpec>(SCHEMAS[kind], body);
  const kept = Object.entries(spec).filter(([, value]) => value !== null && value !== undefined);
  return { ...(Object.fromEntries(kept) as DataSpec), Labels: spec.Labels ?? {} };
}

/** What Node would skip silently would be stored as something else than was sent. */
function checkBase64(data: string): void {
  const text = data.replace(/[\r\n]/g, '');
  const valid = text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  if (valid) return;
  const at = data.search(/[^A-Za-z0-9+/=\r\n]/);
  throw new SwarmdError('invalid-argument', `illegal base64 data at input byte ${at === -1 ? data.length : at}`, {
    field: 'Data',
  });
}

function checkSize(kind: Kind, spec: DataSpec): void {
  checkBase64(spec.Data ?? '');
  const driver = kind === 'secret' ? (spec as SecretSpec).Driver : undefined;
  const bytes = Buffer.byteLength(spec.Data ?? '', 'base64');
  if (driver?.Name) {
    if (bytes > 0) throw invalid('secret data must not be given when a driver supplies it', 'Data');
    return;
  }
  if (bytes === 0 || bytes >= MAX_BYTES[kind]) {
    throw invalid(`${kind} data must be larger than 0 and less than ${MAX_BYTES[kind]} bytes`, 'Data');
  }
}

/** Data may come back with the rest of the spec, but must then be what it was. */
function checkOnlyLabels(given: DataSpec, present: DataSpec): void {
  const { Labels: _1, Data: data, ...rest } = given;
  const { Labels: _2, Data: presentData, ...presentRest } = present;
  const sameData = data === undefined || data === '' || data === presentData;
  if (!sameData || !isDeepStrictEqual(rest, presentRest)) throw invalid('only updates to Labels are allowed');
}

/** Names of services whose spec mounts the object. Services being removed do not count. */
function servicesUsing(view: ReadView, kind: Kind, id: string): string[] {
  const names: string[] = [];
  for (const service of view.all('service')) {
    if (!service.PendingDelete && uses(service, kind, id)) names.push(service.Spec.Name ?? service.ID);
  }
  return names.sort();
}

function uses(service: Service, kind: Kind, id: string): boolean {
  const container = service.Spec.TaskTemplate?.ContainerSpec;
  if (kind === 'secret') return (container?.Secrets ?? []).some((s) => s.SecretID === id);
  return (container?.Configs ?? []).some((c) => c.ConfigID === id);
}

function toApi(kind: Kind, { ID, Version, CreatedAt, UpdatedAt, Spec }: Secret | Config): ApiObject {
  const { Data, ...rest } = Spec;
  const shown = kind === 'config' && Data !== undefined ? { ...rest, Data } : rest;
  return { ID, Version, CreatedAt, UpdatedAt, Spec: shown };
}
