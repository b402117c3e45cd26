import { parseArgs } from 'node:util';
import { SwarmdError } from '@swarmd/model';
import { z } from 'zod';

/** swarmd-net's configuration, read once at start and frozen. Directories are absolute. */
export interface NetConfig {
  stateDir: string;
  runDir: string;
  pluginsDir: string;
  logLevel: string;
}

/** The smallest and largest log level names, pino's. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

const absolute = (flag: string) => z.string().startsWith('/', { message: `${flag} must be an absolute path` });

const ConfigSchema = z.strictObject({
  'state-dir': absolute('--state-dir').default('/var/lib/swarmd/net'),
  'run-dir': absolute('--run-dir').default('/run/swarmd'),
  'plugins-dir': absolute('--plugins-dir').default('/run/docker/plugins'),
  'log-level': z.enum(LOG_LEVELS, { message: `--log-level must be one of ${LOG_LEVELS.join(', ')}` }).default('info'),
});

const HELP: Readonly<Record<keyof typeof ConfigSchema.shape, string>> = {
  'state-dir': 'where state is kept (default /var/lib/swarmd/net)',
  'run-dir': 'where the socket for swarmd is made (default /run/swarmd)',
  'plugins-dir': 'where the Docker engine looks for plugins (default /run/docker/plugins)',
  'log-level': `one of ${LOG_LEVELS.join(', ')} (default info)`,
};

/** What the command line asks for: run with a configuration, or print `text` and end with `exitCode`. */
export type NetInvocation = { run: NetConfig } | { text: string; exitCode: number };

/**
 * Reads flags, then `SWARMD_NET_…` variables. Throws `invalid-argument` naming the flag and what is allowed.
 */
export function readNetConfig(argv: readonly string[], env: NodeJS.ProcessEnv, version: string): NetInvocation {
  const names = Object.keys(HELP) as (keyof typeof HELP)[];
  let flags: Record<string, string | boolean | undefined>;
  try {
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
    const switches = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } } as const;
    flags = parseArgs({ args: [...argv], options: { ...options, ...switches }, allowPositionals: false }).values;
  } catch (error) {
    return { text: `swarmd-net: ${(error as Error).message}\nSee 'swarmd-net --help'.`, exitCode: 2 };
  }
  if (flags['version']) return { text: `swarmd-net ${version}`, exitCode: 0 };
  if (flags['help']) return { text: usage(names), exitCode: 0 };
  const merged: Record<string, unknown> = {};
  for (const name of names) {
    const value = flags[name] ?? env[`SWARMD_NET_${name.toUpperCase().replaceAll('-', '_')}`];
    if (value !== undefined) merged[name] = value;
  }
  const parsed = ConfigSchema.safeParse(merged);
  if (!parsed.success) {
    const message = parsed.error.issues.map((issue) => issue.message).join('; ');
    throw new SwarmdError('invalid-argument', message, { field: String(parsed.error.issues[0]?.path[0] ?? '') });
  }
  const { 'state-dir': stateDir, 'run-dir': runDir, 'plugins-dir': pluginsDir, 'log-level': logLevel } = parsed.data;
  return { run: Object.freeze({ stateDir, runDir, pluginsDir, logLevel }) };
}

function usage(names: readonly (keyof typeof HELP)[]): string {
  const lines = names.map((name) => `  --${name.padEnd(14)}${HELP[name]}`);
  const about = 'The networks of this node: driver of the local Docker engine, names, virtual IPs, published ports.';
  return `Usage: swarmd-net [flags]\n\n${about}\n\n${lines.join('\n')}`;
}
