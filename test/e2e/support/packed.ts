import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { VERSIONS, type Versions } from '@swarmd/model';

const run = promisify(execFile);
const packedFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'upgrade');

/** A runnable swarmd that is not this checkout's. */
export interface PackedSwarmd {
  readonly version: string;
  /** Its program, as `Cluster.startSwarmd` takes it. */
  readonly entry: string;
  /** A copy of it that says of itself that it is something else, and keeps to it. */
  variant(versions: Versions): PackedSwarmd;
}

/** The versions that `test/upgrade` keeps, oldest first. */
export function packedVersions(): string[] {
  const names = readdirSync(packedFolder).flatMap((name) => /^swarmd-(.+)\.tgz$/.exec(name)?.[1] ?? []);
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** Unpacks one of {@link packedVersions} and installs what it needs from npm's cache or registry. */
export async function installPacked(
  owner: { teardown(fn: () => unknown): unknown },
  version: string,
): Promise<PackedSwarmd> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmd-packed-'));
  owner.teardown(() => rmSync(folder, { recursive: true, force: true }));
  await run('tar', ['-xzf', join(packedFolder, `swarmd-${version}.tgz`), '-C', folder]);
  const root = join(folder, `swarmd-${version}`);
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', ...quietly], { cwd: root });
  return packedIn(folder, root, version);
}

/** The versions right after this checkout's: works beside it. */
export const NEXT: Versions = {
  swarmd: `${VERSIONS.swarmd}-next`,
  protocol: { min: VERSIONS.protocol.min, max: VERSIONS.protocol.max + 1 },
  stateFormat: VERSIONS.stateFormat + 1,
};

/** One that has given up all that this checkout speaks. */
export const TOO_NEW: Versions = {
  swarmd: `${VERSIONS.swarmd}-too-new`,
  protocol: { min: VERSIONS.protocol.max + 1, max: VERSIONS.protocol.max + 1 },
  stateFormat: VERSIONS.stateFormat,
};

/** The one line of a packed copy that says what it is. */
const DEFINITION = /^export const VERSIONS = \{.*\};$/m;

function packedIn(folder: string, root: string, version: string): PackedSwarmd {
  return {
    version,
    entry: join(root, 'packages', 'daemon', 'dist', 'src', 'main.js'),
    variant: (versions) => {
      const copy = join(folder, versions.swarmd);
      cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
      const file = join(copy, 'packages', 'model', 'dist', 'src', 'versions.js');
      const text = readFileSync(file, 'utf8');
      if (!DEFINITION.test(text)) throw new Error(`${file} does not define VERSIONS in one line`);
      writeFileSync(file, text.replace(DEFINITION, `export const VERSIONS = ${JSON.stringify(versions)};`));
      return packedIn(folder, copy, versions.swarmd);
    },
  };
}
