import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseImage } from '../text/image-reference.js';

/** Docker Hub's entry in the configuration file: the one registry that is not named by its host. */
const HUB = 'https://index.docker.io/v1/';
/** What a credential helper gets to answer. */
const HELPER_TIMEOUT_MS = 30_000;
/** The user name under which helpers keep identity tokens. */
const TOKEN_USER = '<token>';

/** The parts of docker's `config.json` that hold credentials. */
export interface DockerConfig {
  auths?: Record<string, { auth?: string; username?: string; password?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/** Credentials for one registry, as `X-Registry-Auth` carries them. */
export interface RegistryAuth {
  username?: string;
  password?: string;
  identitytoken?: string;
  serveraddress?: string;
}

/** Asks `docker-credential-NAME` for a registry's credentials; undefined when it has none. */
export type CredentialHelper = (
  name: string,
  server: string,
) => Promise<{ Username?: string; Secret?: string } | undefined>;

type Environment = Readonly<Record<string, string | undefined>>;

/** The `X-Registry-Auth` header for an image: URL-safe base64 of JSON, `{}` where the user has no credentials. */
export async function registryAuthFor(image: string, env: Environment): Promise<string> {
  const config = await readDockerConfig(env);
  const domain = parseImage(image)?.domain ?? 'docker.io';
  return encodeAuth(await credentialsFor(domain, config, askHelper));
}

/** The header's form of credentials. */
export function encodeAuth(auth: RegistryAuth): string {
  return Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The credentials that a docker configuration has for a registry's domain; empty when none. */
export async function credentialsFor(
  domain: string,
  config: DockerConfig,
  helper: CredentialHelper,
): Promise<RegistryAuth> {
  const server = domain === 'docker.io' ? HUB : domain;
  const helperName = config.credHelpers?.[server] ?? config.credHelpers?.[domain] ?? config.credsStore;
  if (helperName !== undefined && helperName !== '') {
    const kept = await helper(helperName, server);
    if (kept?.Secret !== undefined && kept.Secret !== '') {
      return kept.Username === TOKEN_USER
        ? { identitytoken: kept.Secret, serveraddress: server }
        : { username: kept.Username ?? '', password: kept.Secret, serveraddress: server };
    }
  }
  const entry = Object.entries(config.auths ?? {}).find(([key]) => key === server || hostOf(key) === domain)?.[1];
  if (entry === undefined) return {};
  const { auth = '', identitytoken } = entry;
  const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const at = decoded.indexOf(':');
  const username = at === -1 ? entry.username : decoded.slice(0, at);
  const password = at === -1 ? entry.password : decoded.slice(at + 1);
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identitytoken === undefined ? {} : { identitytoken }),
    serveraddress: server,
  };
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').split('/')[0]!;
}

async function readDockerConfig(env: Environment): Promise<DockerConfig> {
  const directory = env['DOCKER_CONFIG'] || path.join(env['HOME'] || os.homedir(), '.docker');
  try {
    return JSON.parse(await readFile(path.join(directory, 'config.json'), 'utf8')) as DockerConfig;
  } catch {
    // No file, or one that docker itself could not use: there are no credentials then.
    return {};
  }
}

const askHelper: CredentialHelper = (name, server) =>
  new Promise((resolve) => {
    const child = execFile(`docker-credential-${name}`, ['get'], { timeout: HELPER_TIMEOUT_MS }, (error, stdout) => {
      if (error !== null) return resolve(undefined);
      try {
        resolve(JSON.parse(stdout) as { Username?: string; Secret?: string });
      } catch {
        resolve(undefined);
      }
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(server);
  });
