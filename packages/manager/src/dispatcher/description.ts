import { type NodeDescription, NodeDescriptionSchema, SwarmdError } from '@swarmd/model';

/** The most bytes of JSON that a host's description may take. */
const MAX_BYTES = 256 << 10;

/**
 * The description in an agent's message, with every field that readers count on. Empty bytes give `undefined`;
 * `invalid-argument` when it is not a description.
 */
export function parseDescription(json: Uint8Array): NodeDescription | undefined {
  if (json.length === 0) return undefined;
  if (json.length > MAX_BYTES) throw invalid('it is too large');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(json).toString('utf8'));
  } catch (error) {
    throw invalid((error as Error).message);
  }
  const parsed = NodeDescriptionSchema.safeParse(value);
  if (!parsed.success) throw invalid('no Hostname');
  // As it is stored: a field without a value is not there.
  return JSON.parse(JSON.stringify(parsed.data)) as NodeDescription;
}

function invalid(why: string): SwarmdError {
  return new SwarmdError('invalid-argument', `the node’s description cannot be used: ${why}`, { field: 'description' });
}
