import { TemplateError } from './errors.js';
import { fixed, type TemplateFunctions, variadic } from './functions.js';
import { parseTemplate } from './template.js';
import { structValue } from './values.js';

/** What a task's templates can know; a slot of 0 or none is that of a global service's task. */
export type TaskTemplateSource = {
  service: { id: string; name: string; labels?: Readonly<Record<string, string>> | null };
  node: { id: string; hostname?: string; platform?: { os?: string; architecture?: string } | null };
  task: { id: string; name: string; slot?: number | null };
};

declare const TASK_TEMPLATE_CONTEXT: unique symbol;
/** Data for the templates of one task, from `taskTemplateContext`. */
export type TaskTemplateContext = object & { readonly [TASK_TEMPLATE_CONTEXT]?: never };

/**
 * The data of a task's templates: `.Service.ID .Name .Labels`, `.Node.ID .Hostname .Platform.OS .Architecture`,
 * `.Task.ID .Name .Slot` (Docker, "Create services using templates"). `.Task.Slot` is a string, and the node's ID for
 * tasks of global services.
 */
export function taskTemplateContext({ service, node, task }: TaskTemplateSource): TaskTemplateContext {
  const { os = '', architecture = '' } = node.platform ?? {};
  return structValue('*template.Context', {
    Service: structValue('struct { ID string; Name string; Labels map[string]string }', {
      ID: service.id,
      Name: service.name,
      Labels: service.labels ?? {},
    }),
    Node: structValue('struct { ID string; Hostname string; Platform template.Platform }', {
      ID: node.id,
      Hostname: node.hostname ?? '',
      Platform: structValue('template.Platform', { Architecture: architecture, OS: os }),
    }),
    Task: structValue('struct { ID string; Name string; Slot string }', {
      ID: task.id,
      Name: task.name,
      Slot: task.slot ? String(task.slot) : node.id,
    }),
  });
}

// Not docker's `join` of the command line: here the separator comes first, then the strings.
const SERVICE_FUNCTIONS: TemplateFunctions = {
  join: variadic(['string'], 'string', (separator, ...parts) => parts.join(separator)),
};

/** One templated string of a service's spec; throws TemplateError, also for labels that are not there. */
export function expandTemplate(text: string, context: TaskTemplateContext): string {
  return expand(text, context, SERVICE_FUNCTIONS);
}

function expand(text: string, context: TaskTemplateContext, functions: TemplateFunctions): string {
  if (!text.includes('{{')) return text;
  return parseTemplate(text, { name: 'expansion', functions, missing: 'error' }).execute(context);
}

type MountTemplates = {
  Source?: string | undefined;
  Target?: string | undefined;
  VolumeOptions?:
    | {
        Labels?: Record<string, string> | null | undefined;
        DriverConfig?: { Options?: Record<string, string> | null | undefined } | null | undefined;
      }
    | null
    | undefined;
};

/** The parts of the Docker API's ContainerSpec that may hold templates. */
export type ContainerSpecTemplates = {
  Env?: readonly string[] | null | undefined;
  Hostname?: string | undefined;
  Mounts?: readonly MountTemplates[] | null | undefined;
};

/**
 * A copy of the ContainerSpec with the templates expanded in what follows the `=` of Env, in Hostname, and in Source,
 * Target, volume labels and volume driver options of Mounts; everything else is shared with the original. Throws
 * TemplateError whose message says which part failed. A manager calls it with made-up values to check a spec.
 */
export function expandServiceTemplates<T extends ContainerSpecTemplates>(spec: T, context: TaskTemplateContext): T {
  const expanded = { ...spec };
  if (spec.Env) expanded.Env = spec.Env.map((entry) => expandEnvEntry(entry, context));
  if (spec.Mounts) expanded.Mounts = spec.Mounts.map((mount) => expandMount(mount, context));
  if (spec.Hostname !== undefined) {
    expanded.Hostname = named('expanding hostname failed', () => expandTemplate(spec.Hostname!, context));
  }
  return expanded;
}

function expandEnvEntry(entry: string, context: TaskTemplateContext): string {
  const equals = entry.indexOf('=');
  if (equals === -1) return entry;
  const what = `expanding env failed: expanding env ${JSON.stringify(entry.slice(0, equals))}`;
  return named(what, () => entry.slice(0, equals + 1) + expandTemplate(entry.slice(equals + 1), context));
}

function expandMount<M extends MountTemplates>(mount: M, context: TaskTemplateContext): M {
  const expanded = { ...mount };
  if (mount.Source !== undefined) {
    const what = `expanding mounts failed: expanding mount source ${JSON.stringify(mount.Source)}`;
    expanded.Source = named(what, () => expandTemplate(mount.Source!, context));
  }
  if (mount.Target !== undefined) {
    const what = `expanding mounts failed: expanding mount target ${JSON.stringify(mount.Target)}`;
    expanded.Target = named(what, () => expandTemplate(mount.Target!, context));
  }
  const options = mount.VolumeOptions;
  if (!options) return expanded;
  expanded.VolumeOptions = { ...options };
  if (options.Labels) {
    const labels = options.Labels;
    expanded.VolumeOptions.Labels = named('expanding mounts failed: expanding volume labels', () =>
      expandMap(labels, context),
    );
  }
  if (options.DriverConfig?.Options) {
    const driver = options.DriverConfig;
    const driverOptions = named('expanding mounts failed: expanding volume driver config', () =>
      expandMap(driver.Options!, context),
    );
    expanded.VolumeOptions.DriverConfig = { ...driver, Options: driverOptions };
  }
  return expanded;
}

function expandMap(map: Readonly<Record<string, string>>, context: TaskTemplateContext): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, expandTemplate(value, context)]));
}

function named<T>(what: string, expandPart: () => T): T {
  try {
    return expandPart();
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    const { detail, line, column } = thrown;
    throw new TemplateError(`${what}: ${thrown.message}`, { detail, line, ...(column !== undefined && { column }) });
  }
}

/** Where a templated secret or config finds what it names; undefined is "not found" (for `env`, an empty string). */
export type PayloadSources = {
  secret: (target: string) => string | undefined;
  config: (target: string) => string | undefined;
  env: (name: string) => string | undefined;
};

/**
 * A secret's or config's text with templating driver `golang` expanded: what a task's templates have, and the functions
 * `secret "TARGET"`, `config "TARGET"` and `env "NAME"`. What they return is not expanded again. `usedSecret` says that
 * the text now holds a secret and must be kept like one. Throws TemplateError.
 */
export function expandPayload(
  text: string,
  context: TaskTemplateContext,
  sources: PayloadSources,
): { text: string; usedSecret: boolean } {
  let usedSecret = false;
  const functions: TemplateFunctions = {
    ...SERVICE_FUNCTIONS,
    secret: fixed(['string'], (target) => {
      const value = sources.secret(target);
      if (value === undefined) throw new Error(`secret target ${target} not found`);
      usedSecret = true;
      return value;
    }),
    config: fixed(['string'], (target) => {
      const value = sources.config(target);
      if (value === undefined) throw new Error(`config target ${target} not found`);
      return value;
    }),
    env: fixed(['string'], (name) => sources.env(name) ?? ''),
  };
  return { text: expand(text, context, functions), usedSecret };
}
