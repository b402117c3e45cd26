import { posix } from 'node:path';
import { mapEntries, type Transform, textOf } from '../canonical/build.js';
import type { Env } from '../syntax/interpolate.js';
import { child, type MappingNode, mappingLike, sequenceLike, type Tree } from '../syntax/tree.js';

/** `path` seen from `directory`; `~` is the `HOME` of `env`. Absolute paths, those of Windows too, are left alone. */
export function resolvePath(directory: string, path: string, env: Env): string {
  const home = env['HOME'];
  const expanded = (path === '~' || path.startsWith('~/')) && home !== undefined ? `${home}${path.slice(1)}` : path;
  if (/^(?:[a-zA-Z]:[\\/]|\\\\)/.test(expanded)) return expanded;
  if (posix.isAbsolute(expanded)) return expanded;
  const joined = posix.join(directory, expanded);
  // join keeps a slash at the end; a mount source or file never has one.
  return joined.length > 1 && joined.endsWith('/') ? joined.slice(0, -1) : joined;
}

/** Whether `path` names something on the network, which is never fetched: `https://…`, `git@…`, `oci://…`. */
export function isRemote(path: string): boolean {
  return /^(?:[a-z][a-z0-9+.-]+:|git@|github\.com\/)/.test(path);
}

/**
 * A canonical file with its relative paths (bind sources, `env_file`, `label_file`, build contexts, files of secrets and
 * configs, watched paths) resolved from `directory`. Done before files are combined, since each has its own.
 */
export function resolvePaths(file: MappingNode, directory: string, env: Env): MappingNode {
  const path: Transform = (node) => {
    const text = textOf(node);
    return text === undefined ? node : { ...node, kind: 'scalar', value: resolvePath(directory, text, env) };
  };
  const context: Transform = (node, where) => (isRemote(textOf(node) ?? '') ? node : path(node, where));
  const build: Transform = (node, where) =>
    mapEntries(node, { context, additional_contexts: everyEntry(context) }, where);
  const watch: Transform = (node, where) => mapEntries(node, { watch: everyItem('path', path) }, where);
  const service: Transform = (node, where) =>
    mapEntries(
      node,
      {
        build,
        develop: watch,
        env_file: everyItem('path', path),
        label_file: (list) =>
          list.kind === 'sequence'
            ? sequenceLike(
                list,
                list.items.map((item) => path(item, '')),
              )
            : list,
        volumes: everyBind(path),
      },
      where,
    );
  const files = everyEntry((node, where) => mapEntries(node, { file: path }, where));
  return mapEntries(file, { services: everyEntry(service), secrets: files, configs: files }, '') as MappingNode;
}

function everyEntry(change: Transform): Transform {
  return (node, path) => {
    if (node.kind !== 'mapping') return node;
    return mappingLike(
      node,
      [...node.entries].map(
        ([key, { at, node: value }]) => [key, { at, node: change(value, `${path}.${key}`) }] as const,
      ),
    );
  };
}

function everyItem(key: string, change: Transform): Transform {
  return (node, path) => {
    if (node.kind !== 'sequence') return node;
    return sequenceLike(
      node,
      node.items.map((item, index) => mapEntries(item, { [key]: change }, `${path}[${index}]`)),
    );
  };
}

function everyBind(change: Transform): Transform {
  return (node, path) => {
    if (node.kind !== 'sequence') return node;
    const isBind = (item: Tree) => textOf(child(item, 'type')) === 'bind' && textOf(child(item, 'source')) !== '';
    return sequenceLike(
      node,
      node.items.map((item) => (isBind(item) ? mapEntries(item, { source: change }, path) : item)),
    );
  };
}
