import type { ScalarNode } from './tree.js';

const NULL = /^(?:~|null|Null|NULL|)$/;
const TRUE = /^(?:true|True|TRUE)$/;
const FALSE = /^(?:false|False|FALSE)$/;
const DECIMAL = /^[-+]?[0-9][0-9_]*$/;
const LEGACY_OCTAL = /^([-+]?)0([0-7]+)$/;
const PREFIXED = /^([-+]?)(0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const INFINITE = /^([-+]?)\.(?:inf|Inf|INF)$/;
const NOT_A_NUMBER = /^\.(?:nan|NaN|NAN)$/;

/**
 * The value of an unquoted YAML scalar: YAML 1.2's core schema and, as every Compose implementation reads file modes,
 * `0440` as octal. Whole numbers are `bigint`. Source: the behaviour of Go's yaml.v3, which Compose files are written for.
 */
export function resolvePlain(source: string): ScalarNode['value'] {
  if (NULL.test(source)) return null;
  if (TRUE.test(source)) return true;
  if (FALSE.test(source)) return false;
  const octal = LEGACY_OCTAL.exec(source);
  if (octal !== null) return fit(signed(octal[1]!, BigInt(`0o${octal[2]!}`)));
  const prefixed = PREFIXED.exec(source);
  if (prefixed !== null) return fit(signed(prefixed[1]!, BigInt(prefixed[2]!)));
  // A leading zero with a digit above 7 is no octal number, and no decimal one either: it falls through to float.
  if (DECIMAL.test(source) && !/^[-+]?0[0-9_]/.test(source)) {
    return fit(signed(source[0] === '-' ? '-' : '', BigInt(source.replace(/[-+_]/g, ''))));
  }
  if (FLOAT.test(source)) return Number(source);
  const infinite = INFINITE.exec(source);
  if (infinite !== null) return infinite[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (NOT_A_NUMBER.test(source)) return Number.NaN;
  return source;
}

function signed(sign: string, magnitude: bigint): bigint {
  return sign === '-' ? -magnitude : magnitude;
}

/** What fits into 64 bits is a whole number; what does not, Go reads as a float. */
function fit(value: bigint): number | bigint {
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : Number(value);
}

/**
 * A scalar as text where text is wanted (an environment value, a label): numbers as Go prints them, since that is what
 * `docker stack deploy` has always sent (`1.10` is the number 1.1). Null is the empty string.
 */
export function scalarText(value: ScalarNode['value']): string {
  if (value === null) return '';
  if (typeof value !== 'number') return String(value);
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const magnitude = Math.abs(value);
  // Go switches to an exponent below 1e-4 and from 1e6 on, JavaScript below 1e-6 and from 1e21 on.
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6)) {
    return value.toExponential().replace(/e([-+])(\d)$/, 'e$10$2');
  }
  return Object.is(value, -0) ? '-0' : String(value);
}
