import type { ConfigReference, SecretReference } from '@swarmd/model';
import { csvPairs } from '../../../text/csv.js';

/** A secret or config that a container gets as a file, before its ID is known. */
export interface FileReference {
  readonly source: string;
  readonly target: string;
  readonly uid: string;
  readonly gid: string;
  /** File mode number. */
  readonly mode: number;
}

const DEFAULT_MODE = 0o444;

/** What `source=a,target=b,uid=0,gid=0,mode=0400`, or just a name, means. `rooted` puts targets into `/` (configs). */
export function parseFileReference(text: string, kind: 'secret' | 'config'): FileReference {
  if (!text.includes('=') && !text.includes(',')) return reference({ source: text }, kind);
  const parts: Partial<Record<keyof FileReference, string>> = {};
  for (const [key, value] of csvPairs(text)) {
    switch (key) {
      case 'source':
      case 'src':
        parts.source = value;
        break;
      case 'target':
        parts.target = value;
        break;
      case 'uid':
      case 'gid':
        parts[key] = value;
        break;
      case 'mode':
        if (!/^(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|[1-9]\d*)$/.test(value)) {
          throw new Error(
            `invalid mode specified: strconv.ParseUint: parsing ${JSON.stringify(value)}: invalid syntax`,
          );
        }
        parts.mode = value;
        break;
      default:
        throw new Error(`invalid field in ${kind} request: ${key}`);
    }
  }
  return reference(parts, kind);
}

function reference(parts: Partial<Record<keyof FileReference, string>>, kind: 'secret' | 'config'): FileReference {
  const { source, target, uid = '0', gid = '0', mode } = parts;
  if (source === undefined || source === '') throw new Error('source is required');
  return {
    source,
    target: target ?? (kind === 'config' ? `/${source}` : source),
    uid,
    gid,
    mode: mode === undefined ? DEFAULT_MODE : /^0[0-7]+$/.test(mode) ? Number.parseInt(mode, 8) : Number(mode),
  };
}

const file = ({ target, uid, gid, mode }: FileReference) => ({ Name: target, UID: uid, GID: gid, Mode: mode });

/** The references without those removed (by name), then those added. */
export function changeSecrets(
  current: readonly SecretReference[],
  { added, removed }: { added: readonly FileReference[]; removed: readonly string[] },
  ids: ReadonlyMap<string, string>,
): SecretReference[] {
  return [
    ...current.filter(({ SecretName }) => !removed.includes(SecretName)),
    ...added.map((item) => ({ File: file(item), SecretID: ids.get(item.source) ?? '', SecretName: item.source })),
  ];
}

/** As {@link changeSecrets}, for configs; one that the runtime itself uses (credential specs) is never removed. */
export function changeConfigs(
  current: readonly ConfigReference[],
  { added, removed }: { added: readonly FileReference[]; removed: readonly string[] },
  ids: ReadonlyMap<string, string>,
): ConfigReference[] {
  return [
    ...current.filter(({ ConfigName, Runtime }) => Runtime != null || !removed.includes(ConfigName)),
    ...added.map((item) => ({ File: file(item), ConfigID: ids.get(item.source) ?? '', ConfigName: item.source })),
  ];
}
