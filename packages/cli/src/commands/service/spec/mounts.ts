import path from 'node:path';
import type { Mount } from '@swarmd/model';
import { CommandError } from '../../../program/errors.js';
import { csvFields } from '../../../text/csv.js';
import { parseBytes } from '../../../text/quantities.js';
import { splitPair } from './draft.js';

/** Options that belong to one type of mount, by the word their names begin with. */
const TYPE_OF_PREFIX: Readonly<Record<string, string>> = {
  volume: 'volume',
  bind: 'bind',
  tmpfs: 'tmpfs',
  image: 'image',
};
/** Flags that mean `true` without a value. */
const SWITCHES = new Set(['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive']);

type Setter = (mount: Mount, value: string, key: string) => void;

const SETTERS: Readonly<Record<string, Setter>> = {
  type: (mount, value) => {
    mount.Type = value.toLowerCase();
  },
  source: (mount, value) => {
    mount.Source = value;
  },
  target: (mount, value) => {
    mount.Target = value;
  },
  readonly: (mount, value, key) => {
    mount.ReadOnly = parseSwitch(value, key);
  },
  consistency: (mount, value) => {
    mount.Consistency = value.toLowerCase();
  },
  'bind-propagation': (mount, value) => {
    mount.BindOptions = { ...mount.BindOptions, Propagation: value.toLowerCase() };
  },
  'bind-nonrecursive': (mount, value, key) => {
    mount.BindOptions = { ...mount.BindOptions, NonRecursive: parseSwitch(value, key) };
  },
  'bind-recursive': (mount, value) => {
    mount.BindOptions = { ...mount.BindOptions, ...recursion(value) };
  },
  'volume-nocopy': (mount, value, key) => {
    mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: parseSwitch(value, key) };
  },
  'volume-subpath': (mount, value) => {
    mount.VolumeOptions = { ...mount.VolumeOptions, Subpath: value };
  },
  'volume-label': (mount, value) => {
    const [name, text] = splitPair(value);
    mount.VolumeOptions = { ...mount.VolumeOptions, Labels: { ...mount.VolumeOptions?.Labels, [name]: text } };
  },
  'volume-driver': (mount, value) => {
    const driver = mount.VolumeOptions?.DriverConfig;
    mount.VolumeOptions = { ...mount.VolumeOptions, DriverConfig: { ...driver, Name: value } };
  },
  'volume-opt': (mount, value) => {
    const driver = mount.VolumeOptions?.DriverConfig;
    const [name, text] = splitPair(value);
    const options = { ...driver?.Options, [name]: text };
    mount.VolumeOptions = { ...mount.VolumeOptions, DriverConfig: { ...driver, Options: options } };
  },
  'image-subpath': (mount, value) => {
    (mount as Record<string, unknown>)['ImageOptions'] = { Subpath: value };
  },
  'tmpfs-size': (mount, value, key) => {
    try {
      mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseBytes(value) };
    } catch {
      throw new Error(`invalid value for ${key}: ${value}`);
    }
  },
  'tmpfs-mode': (mount, value, key) => {
    if (!/^[0-7]+$/.test(value)) throw new Error(`invalid value for ${key}: ${value}`);
    mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(value, 8) };
  },
};

const SYNONYMS: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
};

/** The mount that `type=bind,src=/a,dst=/b,readonly` describes. Throws an Error in the docker CLI's words. */
export function parseMount(text: string): Mount {
  const mount: Mount = { Type: 'volume' };
  const used = new Set<string>();
  for (const field of csvFields(text)) {
    const at = field.indexOf('=');
    const key = (at === -1 ? field : field.slice(0, at)).trim().toLowerCase();
    if (at === -1 && !SWITCHES.has(key)) throw new Error(`invalid field '${field}' must be a key=value pair`);
    const set = SETTERS[SYNONYMS[key] ?? key];
    if (set === undefined) throw new Error(`unexpected key '${key}' in '${field}'`);
    set(mount, at === -1 ? 'true' : field.slice(at + 1), key);
    used.add(key);
  }
  checkMount(mount, used);
  return mount;
}

function checkMount(mount: Mount, used: ReadonlySet<string>): void {
  if (mount.Type === '') throw new Error('type is required');
  if (mount.Target === undefined || mount.Target === '') throw new Error('target is required');
  for (const key of used) {
    const type = TYPE_OF_PREFIX[key.split('-')[0]!];
    if (
      key.includes('-') &&
      type !== undefined &&
      type !== mount.Type &&
      !(type === 'volume' && mount.Type === 'cluster')
    ) {
      throw new Error(`cannot mix '${type}-*' options with mount type '${mount.Type}'`);
    }
  }
  if (mount.BindOptions?.['ReadOnlyForceRecursive'] === true && mount.ReadOnly !== true) {
    throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
  }
}

function parseSwitch(value: string, key: string): boolean {
  if (['true', '1', 't'].includes(value.toLowerCase())) return true;
  if (['false', '0', 'f'].includes(value.toLowerCase())) return false;
  throw new Error(`invalid value for ${key}: ${value}`);
}

function recursion(value: string): Record<string, boolean> {
  switch (value) {
    case 'enabled':
      return {};
    case 'disabled':
      return { NonRecursive: true };
    case 'writable':
      return { ReadOnlyNonRecursive: true };
    case 'readonly':
      return { ReadOnlyForceRecursive: true };
    default:
      throw new Error(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
}

/**
 * The mounts without those removed (by target), those added in place of others with the same target, sorted by source
 * and target as the docker CLI does on `update`; relative sources of binds start from `directory`.
 */
export function changeMounts(
  current: readonly Mount[],
  { added, removed }: { added: readonly Mount[]; removed: readonly string[] },
  directory: string,
): Mount[] {
  const targets = added.map((mount) => mount.Target);
  if (new Set(targets).size < targets.length) throw new CommandError('duplicate mount target');
  const kept = current.filter(({ Target }) => !targets.includes(Target));
  const placed = added.map((mount) =>
    mount.Type === 'bind' && mount.Source?.startsWith('.')
      ? { ...mount, Source: path.resolve(directory, mount.Source) }
      : mount,
  );
  return [...kept, ...placed].filter(({ Target }) => !removed.includes(Target ?? ''));
}

/** Orders mounts by source, then by target. */
export function compareMounts(a: Mount, b: Mount): number {
  const [left, right] = [`${a.Source ?? ''}\0${a.Target}`, `${b.Source ?? ''}\0${b.Target}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
