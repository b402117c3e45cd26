import { composeError, type Report } from '../problem.js';
import { scalar, sequenceLike, type Tree } from '../syntax/tree.js';
import { mapEntries, mappingAt, type Transform, textAt, textOf } from './build.js';
import { toLabels } from './lists.js';

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
const CONSISTENCIES = ['default', 'consistent', 'cached', 'delegated'];

/**
 * The sections of `[SOURCE:]TARGET[:OPTIONS]`. A drive letter (`C:\data`, or `c:/data` where a target still follows)
 * does not end a section. Empty sections are kept.
 */
export function splitVolume(text: string): string[] {
  const sections: string[] = [];
  let current = '';
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    if (char === ':' && !isDrive(current, text.slice(index + 1))) {
      sections.push(current);
      current = '';
    } else current += char;
  }
  return [...sections, current];
}

function isDrive(before: string, after: string): boolean {
  // `v:/data` is the volume v at /data unless a second path follows: then it is drive v.
  return /^[a-zA-Z]$/.test(before) && (after.startsWith('\\') || /^\/[^:]*:(?:[/\\]|[a-zA-Z]:)/.test(after));
}

/** Whether the source of a short volume is a path on the host and no volume's name. */
export function isHostPath(source: string): boolean {
  return /^(?:[./~]|\\\\|[a-zA-Z]:[\\/])/.test(source);
}

/** `volumes` of a service as mappings `{ type, source?, target, read_only?, … }`. Source: Compose Specification, "volumes". */
export function toVolumes(report: Report): Transform {
  return (node, path) => {
    if (node.kind !== 'sequence') return node;
    return sequenceLike(
      node,
      node.items.map((item, index) => {
        const text = textOf(item);
        const where = `${path}[${index}]`;
        if (text !== undefined) return shortVolume(text, item, where, report);
        const volume = (options: Tree, at: string) => mapEntries(options, { labels: toLabels }, at);
        return mapEntries(item, { volume }, where);
      }),
    );
  };
}

function shortVolume(text: string, item: Tree, path: string, report: Report): Tree {
  const sections = splitVolume(text);
  if (sections.length > 3) throw composeError(path, `volume ${JSON.stringify(text)} has too many colons`, item.at);
  if (sections.includes('')) throw composeError(path, `volume ${JSON.stringify(text)} has an empty section`, item.at);
  const [source, target] = sections.length === 1 ? [undefined, sections[0]!] : [sections[0]!, sections[1]!];
  const options = readOptions(sections[2], (option) =>
    report({ path, at: item.at, severity: 'warning', message: `unknown option ${option} is ignored` }),
  );
  const at = item.at;
  const optional = (value: string | undefined) => (value === undefined ? undefined : textAt(at, value));
  const isBind = source !== undefined && isHostPath(source);
  const bind = mappingAt(at, { propagation: optional(options.propagation), selinux: optional(options.selinux) });
  const volume = mappingAt(at, { nocopy: options.nocopy ? scalar(true, at) : undefined });
  return mappingAt(at, {
    type: textAt(at, isBind ? 'bind' : 'volume'),
    source: optional(source),
    target: textAt(at, target),
    read_only: options.readOnly ? scalar(true, at) : undefined,
    consistency: optional(options.consistency),
    bind: bind.entries.size === 0 ? undefined : bind,
    volume: volume.entries.size === 0 ? undefined : volume,
  });
}

interface ShortOptions {
  readOnly: boolean;
  nocopy: boolean;
  propagation?: string;
  selinux?: string;
  consistency?: string;
}

function readOptions(text: string | undefined, unknown: (option: string) => void): ShortOptions {
  const options: ShortOptions = { readOnly: false, nocopy: false };
  for (const option of text === undefined ? [] : text.split(',')) {
    if (option === 'ro' || option === 'rw') options.readOnly = option === 'ro';
    else if (option === 'nocopy') options.nocopy = true;
    else if (option === 'z' || option === 'Z') options.selinux = option;
    else if (PROPAGATIONS.includes(option)) options.propagation = option;
    else if (CONSISTENCIES.includes(option)) options.consistency = option;
    else unknown(option);
  }
  return options;
}
