import { type NodeDescription, SwarmdError } from '@swarmd/model';

/** The most bytes of JSON that a host's description may take. */
const MAX_BYTES = 256 << 10;

/**
 * The description in an agent's message, with every field that readers count on. Empty bytes give `undefined`;
 * `invalid-argument` when it is not a description.
 */
export function parseDescription(json: Uint8Array): NodeDescription | undefined {
  if (json.length === 0) return undefined;
  if (json.length > MAX_BYTES) throw invalid('it is too large');
  let value: Partial<NodeDescription> | null;
  try {
    value = JSON.parse(Buffer.from(json).toString('utf8')) as Partial<NodeDescription> | null;
  } catch (error) {
    throw invalid((error as Error).message);
  }
  if (typeof value !== 'object' || value === null || typeof value.Hostname !== 'string') throw invalid('no Hostname');
  const { Platform, Resources, Engine } = value;
  const number = (n: unknown): number => (typeof n === 'number' && Number.isFinite(n) && n >= 0 ? n : 0);
  return {
    ...value,
    Hostname: value.Hostname,
    Platform: { Architecture: String(Platform?.Architecture ?? ''), OS: String(Platform?.OS ?? '') },
    Resources: { ...Resources, NanoCPUs: number(Resources?.NanoCPUs), MemoryBytes: number(Resources?.MemoryBytes) },
    Engine: { ...Engine, EngineVersion: String(Engine?.EngineVersion ?? '') },
  };
}

function invalid(why: string): SwarmdError {
  return new SwarmdError('invalid-argument', `the node’s description cannot be used: ${why}`, { field: 'description' });
}
