import { composeError } from '../problem.js';
import { type Entry, mappingLike, scalar, sequenceLike, type Tree } from '../syntax/tree.js';
import { mapEntries, mappingAt, sequenceAt, type Transform, textAt, textOf } from './build.js';
import { splitCommand } from './shell.js';

/** One text → a list of it. */
export const toList: Transform = (node) =>
  node.kind === 'scalar' && node.value !== null ? sequenceLike(node, [scalar(node.value, node.at)]) : node;

/** `["A=1", "B"]` → `{ A: "1", B: null }`. What stands without `=` means "from the environment". */
export const toVariables: Transform = (node) => pairsToMapping(node, null);

/** `["a=1", "b"]` → `{ a: "1", b: "" }`. */
export const toLabels: Transform = (node) => pairsToMapping(node, '');

function pairsToMapping(node: Tree, absent: string | null): Tree {
  const items =
    node.kind === 'scalar' && node.value !== null ? [node] : node.kind === 'sequence' ? node.items : undefined;
  if (items === undefined) return node;
  const entries = new Map<string, Entry>();
  for (const item of items) {
    const text = textOf(item) ?? '';
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    entries.set(key, { at: item.at, node: scalar(equals < 0 ? absent : text.slice(equals + 1), item.at) });
  }
  return mappingLike(node, entries);
}

/** A command line → its words. */
export const toWords: Transform = (node, path) => {
  const text = textOf(node);
  if (text === undefined) return node;
  const words = splitCommand(text);
  if (typeof words === 'string') {
    throw composeError(
      path,
      words === 'quote' ? 'a quote is not closed' : 'nothing follows the last backslash',
      node.at,
    );
  }
  return sequenceLike(
    node,
    words.map((word) => textAt(node.at, word)),
  );
};

/** `healthcheck.test`: a text runs in the container's shell. */
export const toHealthTest: Transform = (node) => {
  const text = textOf(node);
  return text === undefined ? node : sequenceLike(node, [textAt(node.at, 'CMD-SHELL'), textAt(node.at, text)]);
};

/** A list of names → a mapping of each name to what `value` makes. */
export function namesToMapping(value: (item: Tree) => Tree): Transform {
  return (node) => {
    if (node.kind !== 'sequence') return node;
    const entries = node.items.map((item) => [textOf(item) ?? '', { at: item.at, node: value(item) }] as const);
    return mappingLike(node, entries);
  };
}

/** `depends_on` as a mapping with conditions. */
export const toDependencies = namesToMapping((item) =>
  mappingAt(item.at, { condition: textAt(item.at, 'service_started'), required: scalar(true, item.at) }),
);

/** `networks` and `models` of a service as a mapping; null means "with nothing special". */
export const toMemberships = namesToMapping((item) => scalar(null, item.at));

/** A text in a list → `{ [key]: text }`. */
export function itemsTo(key: string): Transform {
  return (node) => {
    if (node.kind !== 'sequence') return node;
    return sequenceLike(
      node,
      node.items.map((item) => (item.kind === 'scalar' ? mappingAt(item.at, { [key]: item }) : item)),
    );
  };
}

/** `extra_hosts`, in any way of writing it → a list of `host:address`, without brackets around IPv6. */
export const toHosts: Transform = (node, path) => {
  if (node.kind === 'sequence') {
    return sequenceLike(
      node,
      node.items.map((item) => textAt(item.at, hostEntry(textOf(item) ?? '', item, path))),
    );
  }
  if (node.kind !== 'mapping') return node;
  const lines = [...node.entries].flatMap(([host, { node: addresses }]) => {
    const items = addresses.kind === 'sequence' ? addresses.items : [addresses];
    return items.map((item) => textAt(item.at, `${host}:${unbracket(textOf(item) ?? '')}`));
  });
  // A mapping has no order: sorted, equal files give equal services.
  lines.sort((a, b) => (String(a.value) < String(b.value) ? -1 : 1));
  return sequenceLike(node, lines);
};

function hostEntry(text: string, node: Tree, path: string): string {
  const found = /^([^=:]+)[=:](.+)$/.exec(text);
  if (found === null) throw composeError(path, `${JSON.stringify(text)} is not HOST=ADDRESS`, node.at);
  return `${found[1]!.trim()}:${unbracket(found[2]!.trim())}`;
}

function unbracket(address: string): string {
  return /^\[.*\]$/.test(address) ? address.slice(1, -1) : address;
}

/** `devices`: `SOURCE[:TARGET[:PERMISSIONS]]` → its parts. */
export const toDevices: Transform = (node) => {
  if (node.kind !== 'sequence') return node;
  return sequenceLike(
    node,
    node.items.map((item) => {
      const text = textOf(item);
      if (text === undefined) return item;
      const [source = '', target = source, permissions = 'rwm'] = text.split(':');
      return mappingAt(item.at, {
        source: textAt(item.at, source),
        target: textAt(item.at, target),
        permissions: textAt(item.at, permissions),
      });
    }),
  );
};

/** `build`: a text is the context. */
export const toBuild: Transform = (node, path) => {
  const long =
    node.kind === 'scalar' && node.value !== null
      ? mappingLike(node, [['context', { at: node.at, node: textAt(node.at, textOf(node) ?? '') }]])
      : node;
  const changes = {
    args: toVariables,
    labels: toLabels,
    additional_contexts: toLabels,
    ssh: toLabels,
    extra_hosts: toHosts,
    secrets: itemsTo('source'),
    no_cache_filter: toList,
  };
  return mapEntries(long, changes, path);
};

/** Hooks: their commands as words, their variables as a mapping. */
export const toHooks: Transform = (node, path) => {
  if (node.kind !== 'sequence') return node;
  const changes = { command: toWords, environment: toVariables };
  return sequenceLike(
    node,
    node.items.map((item, index) => mapEntries(item, changes, `${path}[${index}]`)),
  );
};

/** `null` → an empty mapping. */
export const toMapping: Transform = (node) =>
  node.kind === 'scalar' && node.value === null ? mappingLike(node, []) : node;

/** `external: { name }` (obsolete) → `external: true` and `name`. */
export const toExternalFlag: Transform = (node, path) => {
  const long = toMapping(node, path);
  if (long.kind !== 'mapping') return node;
  const external = long.entries.get('external');
  if (external?.node.kind !== 'mapping') return long;
  const entries = new Map(long.entries);
  entries.set('external', { at: external.at, node: scalar(true, external.at) });
  const name = external.node.entries.get('name');
  if (name !== undefined) {
    if (entries.has('name'))
      throw composeError(path, 'name and external.name contradict each other; keep name', name.at);
    entries.set('name', name);
  }
  return mappingLike(long, entries);
};

/** `include`: each entry with lists of paths and environment files. */
export const toIncludes: Transform = (node, path) => {
  const long = itemsTo('path')(node, path);
  if (long.kind !== 'sequence') return long;
  return sequenceAt(
    long.at,
    long.items.map((item, index) => mapEntries(item, { path: toList, env_file: toList }, `${path}[${index}]`)),
  );
};
