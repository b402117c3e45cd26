import { type ServiceSpec, SwarmdError } from '@swarmd/model';
import { expandPayload, type PayloadSources, type TaskTemplateContext } from '@swarmd/template';
import type { AssignedPayload } from '../task/assignment.js';

/** A secret or config as a file of a container. `uid` and `gid` are numbers inside the container. */
export interface PayloadFile {
  kind: 'secret' | 'config';
  /** Absolute path in the container. */
  target: string;
  data: Uint8Array;
  uid: number;
  gid: number;
  mode: number;
}

/** The secrets and configs that this node was given, by ID. */
export interface Payloads {
  secret(id: string): AssignedPayload | undefined;
  config(id: string): AssignedPayload | undefined;
}

const DEFAULT_MODE = 0o444;

/** What of a spec's secrets and configs this node has not been given, in words. */
export function missingPayloads(spec: ServiceSpec, payloads: Payloads): string[] {
  const container = spec.TaskTemplate?.ContainerSpec;
  const missing = [
    ...(container?.Secrets ?? [])
      .filter((ref) => payloads.secret(ref.SecretID) === undefined)
      .map((ref) => `secret ${ref.SecretName}`),
    ...(container?.Configs ?? [])
      .filter((ref) => payloads.config(ref.ConfigID) === undefined)
      .map((ref) => `config ${ref.ConfigName}`),
  ];
  return [...new Set(missing)];
}

/**
 * The files that a task's secrets and configs become, templates (driver `golang`) expanded. Secrets without a path land
 * in /run/secrets, configs in /. `spec` has its own templates expanded: `env` in a payload sees those. Throws
 * `failed-precondition` when a payload is not here.
 */
export function payloadFiles(spec: ServiceSpec, payloads: Payloads, context: TaskTemplateContext): PayloadFile[] {
  const container = spec.TaskTemplate?.ContainerSpec;
  const sources = payloadSources(spec, payloads);
  const files: PayloadFile[] = [];
  for (const ref of container?.Secrets ?? []) {
    if (!ref.File) continue;
    const payload = present(payloads.secret(ref.SecretID), `secret ${ref.SecretName}`);
    files.push({ kind: 'secret', target: absolute(ref.File.Name, '/run/secrets/'), ...fileOf(payload, ref.File) });
  }
  for (const ref of container?.Configs ?? []) {
    if (!ref.File) continue;
    const payload = present(payloads.config(ref.ConfigID), `config ${ref.ConfigName}`);
    files.push({ kind: 'config', target: absolute(ref.File.Name, '/'), ...fileOf(payload, ref.File) });
  }
  return files;

  function fileOf(payload: AssignedPayload, file: { UID?: string; GID?: string; Mode?: number }) {
    const data =
      payload.templating === 'golang'
        ? Buffer.from(expandPayload(Buffer.from(payload.data).toString('utf8'), context, sources).text)
        : payload.data;
    return { data, uid: idOf(file.UID), gid: idOf(file.GID), mode: file.Mode ?? DEFAULT_MODE };
  }
}

function payloadSources(spec: ServiceSpec, payloads: Payloads): PayloadSources {
  const container = spec.TaskTemplate?.ContainerSpec;
  const text = (payload: AssignedPayload | undefined) =>
    payload === undefined ? undefined : Buffer.from(payload.data).toString('utf8');
  const env = new Map((container?.Env ?? []).map((entry) => [entry.split('=', 1)[0] ?? '', entry]));
  return {
    secret: (target) => {
      const ref = container?.Secrets?.find((secret) => secret.File?.Name === target);
      return ref && text(payloads.secret(ref.SecretID));
    },
    config: (target) => {
      const ref = container?.Configs?.find((config) => config.File?.Name === target);
      return ref && text(payloads.config(ref.ConfigID));
    },
    env: (name) => env.get(name)?.slice(name.length + 1),
  };
}

function present(payload: AssignedPayload | undefined, what: string): AssignedPayload {
  if (payload === undefined) throw new SwarmdError('failed-precondition', `${what} is not on this node`);
  return payload;
}

function absolute(name: string, folder: string): string {
  return name.startsWith('/') ? name : `${folder}${name}`;
}

function idOf(text: string | undefined): number {
  const id = text === undefined || text === '' ? 0 : Number(text);
  if (!Number.isInteger(id) || id < 0) throw new SwarmdError('invalid-argument', `not a user or group ID: ${text}`);
  return id;
}
