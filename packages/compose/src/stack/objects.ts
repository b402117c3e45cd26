import type { ConfigReference, ConfigSpec, SecretReference, SecretSpec } from '@swarmd/model';
import type { Report } from '../problem.js';
import type { FileObject, Grant, Project, Service } from '../project/types.js';
import { omitEmpty, scoped, sortedBy, stackLabels } from './namespace.js';

/** A secret of a stack. When `external`, it must exist already and `spec` holds its name alone. */
export interface StackSecret {
  spec: SecretSpec;
  external: boolean;
}

/** A config of a stack. When `external`, it must exist already and `spec` holds its name alone. */
export interface StackConfig {
  spec: ConfigSpec;
  external: boolean;
}

/** Who may read a secret or config when nothing is said: everyone in the container. */
const DEFAULT_MODE = 0o444;

/** The secrets or configs of a project. One whose content is missing is reported as an `error` and has no `Data`. */
export function convertObjects(
  project: Project,
  section: 'secrets' | 'configs',
  namespace: string,
  report: Report,
): { spec: SecretSpec & ConfigSpec; external: boolean }[] {
  return Object.entries(project[section]).map(([name, object]) => {
    const scopedName = object.name ?? scoped(namespace, name);
    if (object.external) return { spec: { Name: scopedName }, external: true };
    if (object.content === undefined && object.driver === undefined) {
      const missing =
        object.file === undefined ? `variable ${object.environment} is not set` : `file ${object.file} cannot be read`;
      const at = project.positions.get(`${section}.${name}`);
      report({ path: `${section}.${name}`, severity: 'error', message: missing, ...(at === undefined ? {} : { at }) });
    }
    return { spec: objectSpec(scopedName, object, namespace), external: false };
  });
}

function objectSpec(Name: string, object: FileObject, namespace: string): SecretSpec & ConfigSpec {
  return {
    Name,
    Labels: stackLabels(namespace, object.labels),
    ...(object.content === undefined ? {} : { Data: object.content.base64() }),
    ...(object.driver === undefined
      ? {}
      : { Driver: { Name: object.driver, ...omitEmpty({ Options: object.driverOptions }) } }),
    ...(object.templateDriver === undefined ? {} : { Templating: { Name: object.templateDriver } }),
  };
}

/** A service's secrets by name; `SecretID` is empty until the deploy looks it up. */
export function convertSecretGrants(project: Project, service: Service, namespace: string): SecretReference[] {
  const references = service.secrets.map((grant) => ({
    File: fileTarget(grant),
    SecretID: '',
    SecretName: project.secrets[grant.source]?.name ?? scoped(namespace, grant.source),
  }));
  return sortedBy(references, (reference) => reference.SecretName);
}

/** A service's configs by name, that of its credential spec among them; `ConfigID` is empty until the deploy looks it up. */
export function convertConfigGrants(project: Project, service: Service, namespace: string): ConfigReference[] {
  const references: ConfigReference[] = service.configs.map((grant) => ({
    File: fileTarget(grant),
    ConfigID: '',
    ConfigName: configName(project, grant.source, namespace),
  }));
  const credentials = service.credentialSpec?.config;
  if (credentials !== undefined) {
    references.push({ Runtime: {}, ConfigID: '', ConfigName: configName(project, credentials, namespace) });
  }
  return sortedBy(references, (reference) => reference.ConfigName);
}

/** What a project's config is called outside the stack. */
export function configName(project: Project, source: string, namespace: string): string {
  return project.configs[source]?.name ?? scoped(namespace, source);
}

function fileTarget(grant: Grant): { Name: string; UID: string; GID: string; Mode: number } {
  return {
    Name: grant.target ?? grant.source,
    UID: grant.uid ?? '0',
    GID: grant.gid ?? '0',
    Mode: grant.mode ?? DEFAULT_MODE,
  };
}
