import { formatValue } from './format-value.js';
import { compareStrings, type Kind, kindOf, typeName } from './values.js';

function isNumber(kind: Kind): boolean {
  return kind === 'int' || kind === 'float';
}

function show(value: unknown): string {
  return formatValue(value, { verb: 'v', flags: '', width: undefined, precision: undefined });
}

/**
 * Go templates' `eq`: whether the value equals one of the others. Numbers compare with numbers, whole or not; throws
 * for values of different kinds and for maps and slices.
 */
export function compareEqual(value: unknown, others: readonly unknown[]): boolean {
  if (others.length === 0) throw new Error('missing argument for comparison');
  return others.some((other) => equalsOne(value, other));
}

function equalsOne(value: unknown, other: unknown): boolean {
  const kind = kindOf(value);
  const otherKind = kindOf(other);
  if (kind === 'nil' || otherKind === 'nil') return kind === otherKind;
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals the number of the same value
  if (isNumber(kind) && isNumber(otherKind)) return value == other;
  for (const [operand, operandKind] of [
    [value, kind],
    [other, otherKind],
  ] as const) {
    if (operandKind === 'map' || operandKind === 'slice' || operandKind === 'func' || operandKind === 'struct') {
      if (kind !== otherKind) break;
      throw new Error(`non-comparable type ${show(operand)}: ${typeName(operand)}`);
    }
  }
  if (kind !== otherKind) throw new Error('incompatible types for comparison');
  return value === other;
}

/** Go templates' `lt`; throws for values that have no order. */
export function compareLess(a: unknown, b: unknown): boolean {
  const kinds = [kindOf(a), kindOf(b)] as const;
  if (!kinds.every((kind) => kind === 'string' || kind === 'bool' || isNumber(kind))) {
    throw new Error('invalid type for comparison');
  }
  if (isNumber(kinds[0]) && isNumber(kinds[1])) return (a as number) < (b as number);
  if (kinds[0] !== kinds[1]) throw new Error('incompatible types for comparison');
  if (kinds[0] === 'bool') throw new Error('invalid type for comparison');
  return compareStrings(a as string, b as string) < 0;
}
