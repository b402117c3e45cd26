import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { Command, CommanderError } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import type { BackupScheduleConfig } from './backup-schedule.js';
import { type ExternalEtcdConfig, parseStoreUrl } from './store-url.js';

/** swarmd's configuration, read once at start and frozen. */
export interface DaemonConfig {
  /** Where state is kept. */
  dataDir: string;
  /** Where what must not outlive a reboot is kept: the directory of the API socket. */
  runDir: string;
  /** Path of the unix socket on which the Docker Engine API is served. */
  hostSocket: string;
  /** Path of the local Docker engine's unix socket. */
  engineSocket: string;
  /** `IP:PORT` for joining nodes and agents; `swarm init` may override it. */
  listenAddr: string;
  /** IP that other nodes reach this one at; guessed from the default route when absent. */
  advertiseAddr: string | undefined;
  /** Path of the etcd program that keeps the state of several managers; the one on PATH when absent. */
  etcd: string | undefined;
  /** The etcd of somebody else that keeps the state of all managers, if wished. */
  store: ExternalEtcdConfig | undefined;
  /** Who runs swarmd-net: swarmd starts one that does not answer, or somebody else does, as a unit of systemd. */
  networkProcess: 'start' | 'external';
  /** Group that may use the API socket. */
  group: string;
  logLevel: string;
  /** Regular backups, if wished. */
  backup: BackupScheduleConfig | undefined;
}

/** The smallest and largest log level names, pino's. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

const unixAddress = (flag: string) =>
  z.string().transform((value, context) => {
    if (value.startsWith('unix:///')) return value.slice('unix://'.length);
    const why = value.startsWith('tcp://')
      ? `${flag}: tcp:// is refused: without client certificates it would be root for everyone; use unix://PATH`
      : `${flag}: "${value}" is not unix:// followed by an absolute path`;
    context.addIssue({ code: 'custom', message: why });
    return z.NEVER;
  });

const ipPort = (flag: string) =>
  z.string().superRefine((value, context) => {
    const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d+)$/.exec(value);
    const ip = match?.groups?.['six'] ?? match?.groups?.['four'] ?? '';
    const port = Number(match?.groups?.['port']);
    if (isIP(ip) === 0 || !(port >= 1 && port <= 65_535)) {
      context.addIssue({ code: 'custom', message: `${flag}: "${value}" is not IP:PORT, such as 0.0.0.0:2377` });
    }
  });

const HOURS = { m: 1 / 60, h: 1, d: 24 } as const;
const MS_PER_HOUR = 3_600_000;

/** `30m`, `12h`, `7d`: in milliseconds. */
const interval = (flag: string) =>
  z.string().transform((value, context) => {
    const match = /^(\d{1,6})([mhd])$/.exec(value);
    const ms = Number(match?.[1]) * HOURS[match?.[2] as keyof typeof HOURS] * MS_PER_HOUR;
    if (match !== null && ms > 0) return ms;
    context.addIssue({ code: 'custom', message: `${flag}: "${value}" is no time such as 30m, 12h or 7d` });
    return z.NEVER;
  });

const absolute = (flag: string) => z.string().startsWith('/', { message: `${flag} must be an absolute path` });

const ConfigSchema = z.strictObject({
  'data-dir': z.string().startsWith('/', { message: '--data-dir must be an absolute path' }).default('/var/lib/swarmd'),
  host: unixAddress('--host').prefault('unix:///run/swarmd/swarmd.sock'),
  engine: unixAddress('--engine').prefault('unix:///var/run/docker.sock'),
  'listen-addr': ipPort('--listen-addr').default('0.0.0.0:2377'),
  'advertise-addr': z
    .string()
    .refine((value) => isIP(value) !== 0, { message: '--advertise-addr must be an IP address' })
    .optional(),
  etcd: z.string().startsWith('/', { message: '--etcd must be an absolute path' }).optional(),
  store: z
    .string()
    .transform((value, context) => {
      try {
        return parseStoreUrl(value);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
        return z.NEVER;
      }
    })
    .optional(),
  'network-process': z
    .enum(['start', 'external'], { message: '--network-process must be start or external' })
    .default('start'),
  group: z.string().min(1).default('docker'),
  'log-level': z.enum(LOG_LEVELS, { message: `--log-level must be one of ${LOG_LEVELS.join(', ')}` }).default('info'),
  'backup-dir': absolute('--backup-dir').optional(),
  'backup-interval': interval('--backup-interval').prefault('24h'),
  'backup-keep': z.coerce
    .number({ message: '--backup-keep must be a whole number from 1' })
    .int({ message: '--backup-keep must be a whole number from 1' })
    .min(1, { message: '--backup-keep must be a whole number from 1' })
    .default(7),
  'backup-key-file': absolute('--backup-key-file').optional(),
});

const HELP: Readonly<Record<keyof typeof ConfigSchema.shape, string>> = {
  'data-dir': 'where state is kept (default /var/lib/swarmd)',
  host: 'unix://PATH of the API socket (default unix:///run/swarmd/swarmd.sock)',
  engine: 'unix://PATH of the local Docker engine (default unix:///var/run/docker.sock)',
  'listen-addr': 'IP:PORT for joining nodes and agents (default 0.0.0.0:2377)',
  'advertise-addr': 'IP that other nodes reach this one at (default: address of the default route)',
  etcd: 'path of etcd, for several managers (default: the one on PATH)',
  store: 'etcd://HOST:PORT[,HOST:PORT]/PREFIX?ca=FILE&cert=FILE&key=FILE of an etcd that you run (default: of its own)',
  'network-process': 'start: start swarmd-net if none answers (default); external: somebody else runs it',
  group: 'group that may use the API socket (default docker)',
  'log-level': `one of ${LOG_LEVELS.join(', ')} (default info)`,
  'backup-dir': 'where a manager writes a backup of the cluster regularly; needs --backup-key-file',
  'backup-interval': 'how often, such as 30m, 12h or 7d (default 24h)',
  'backup-keep': 'how many are kept (default 7)',
  'backup-key-file': 'file with the recovery key, made with "swarmctl backup create --key-file"',
};

/** What the command line asks for: run with a configuration, or print `text` and end with `exitCode`. */
export type Invocation = { run: DaemonConfig } | { text: string; exitCode: number };

/**
 * Reads flags, then `SWARMD_…` variables, then the YAML file (`--config`, `SWARMD_CONFIG`): the first that names a
 * setting wins. Throws `invalid-argument` naming the flag and what is allowed.
 */
export function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv, version: string): Invocation {
  const command = new Command('swarmd')
    .description('Swarm mode, unbundled from dockerd: the daemon of every node.')
    .version(version, '-v, --version')
    .option('--config <file>', 'YAML file with the same names as the flags')
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const [name, help] of Object.entries(HELP)) command.option(`--${name} <value>`, help);
  try {
    command.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { text: `swarmd ${version}`, exitCode: 0 };
    if (error.code === 'commander.helpDisplayed') return { text: command.helpInformation(), exitCode: 0 };
    return { text: `swarmd: ${error.message}\nSee 'swarmd --help'.`, exitCode: 2 };
  }
  const flags = command.opts<Record<string, string>>();
  const file = readFile(flags['config'] ?? env['SWARMD_CONFIG']);
  const merged: Record<string, unknown> = { ...file };
  for (const name of Object.keys(HELP)) {
    const fromEnv = env[`SWARMD_${name.toUpperCase().replaceAll('-', '_')}`];
    const fromFlag = flags[name.replace(/-(\w)/g, (_, c: string) => c.toUpperCase())];
    const value = fromFlag ?? fromEnv;
    if (value !== undefined) merged[name] = value;
  }
  return { run: toConfig(merged) };
}

function readFile(path: string | undefined): Record<string, unknown> {
  if (path === undefined) return {};
  try {
    const content: unknown = parse(readFileSync(path, 'utf8')) ?? {};
    if (typeof content !== 'object' || Array.isArray(content)) throw new Error('it must hold name: value pairs');
    return content as Record<string, unknown>;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SwarmdError('invalid-argument', `--config ${path}: ${why}`, { field: 'config', cause: error });
  }
}

function toConfig(merged: Record<string, unknown>): DaemonConfig {
  const parsed = ConfigSchema.safeParse(merged);
  if (!parsed.success) {
    const message = parsed.error.issues
      .map((issue) =>
        issue.code === 'unrecognized_keys' ? `no such setting: ${issue.keys.join(', ')}` : issue.message,
      )
      .join('; ');
    throw new SwarmdError('invalid-argument', message, { field: String(parsed.error.issues[0]?.path[0] ?? '') });
  }
  const value = parsed.data;
  return Object.freeze({
    dataDir: value['data-dir'],
    runDir: dirname(value.host),
    hostSocket: value.host,
    engineSocket: value.engine,
    listenAddr: value['listen-addr'],
    advertiseAddr: value['advertise-addr'],
    etcd: value.etcd,
    store: value.store,
    networkProcess: value['network-process'],
    group: value.group,
    logLevel: value['log-level'],
    backup: backupOf(value),
  });
}

function backupOf(value: z.infer<typeof ConfigSchema>): BackupScheduleConfig | undefined {
  const { 'backup-dir': dir, 'backup-key-file': keyFile } = value;
  if (dir === undefined && keyFile === undefined) return undefined;
  if (dir === undefined || keyFile === undefined) {
    const [given, missing] =
      dir === undefined ? ['--backup-key-file', '--backup-dir'] : ['--backup-dir', '--backup-key-file'];
    throw new SwarmdError('invalid-argument', `${given} needs ${missing}, too`, { field: missing.slice(2) });
  }
  return { dir, keyFile, intervalMs: value['backup-interval'], keep: value['backup-keep'] };
}
