import { composeError, type Report } from '../problem.js';
import type { Env } from '../syntax/interpolate.js';
import { parseEnvFile } from './env-file.js';
import type { ReadFile } from './read-resources.js';
import type { ResolvedPairs } from './read-service.js';
import type { Reader } from './reader.js';

/**
 * A service's environment and container labels with `env_file` and `label_file` read in: later files win over earlier,
 * what the service itself says over files, and names without a value are looked up in `env`.
 * @throws SwarmdError `invalid-argument` for required files that are missing and for malformed ones.
 */
export function resolvePairs(service: Reader, env: Env, readFile: ReadFile, report: Report): ResolvedPairs {
  const environment = new Map<string, string | null>();
  for (const file of service.items('env_file')) {
    for (const [key, value] of readPairs(file, file.text('path') ?? '', env, readFile, report))
      environment.set(key, value);
  }
  for (const [key, value] of service.at('environment').entries()) {
    environment.set(key, value.value() ?? (Object.hasOwn(env, key) ? env[key] : undefined) ?? null);
  }
  const labels = new Map<string, string>();
  for (const file of service.items('label_file')) {
    for (const [key, value] of readPairs(file, file.value() ?? '', env, readFile, report)) labels.set(key, value ?? '');
  }
  for (const [key, value] of Object.entries(service.labels('labels'))) labels.set(key, value);
  return { environment: Object.fromEntries(environment), labels: Object.fromEntries(labels) };
}

function readPairs(
  entry: Reader,
  path: string,
  env: Env,
  readFile: ReadFile,
  report: Report,
): Map<string, string | null> {
  const at = entry.node?.at;
  const content = readFile(path);
  if (content === undefined) {
    if (entry.flag('required') === false) return new Map();
    throw composeError(entry.path, `file ${path} cannot be read`, at);
  }
  const format = entry.text('format');
  if (format !== undefined && format !== 'raw')
    throw composeError(entry.path, `unknown format ${format}; there is only raw`, at);
  const text = typeof content === 'string' ? content : new TextDecoder().decode(content);
  const parsed = parseEnvFile(text, env, format === 'raw');
  if (parsed.fault !== undefined) {
    throw composeError(entry.path, `${path}:${parsed.fault.line}: ${parsed.fault.message}`, at);
  }
  if (parsed.unquoted) {
    const message = `quotes around values of ${path} are taken off, as Compose does; docker stack deploy keeps them (format: raw)`;
    report({ path: entry.path, message, severity: 'info', ...(at === undefined ? {} : { at }) });
  }
  return parsed.variables;
}
