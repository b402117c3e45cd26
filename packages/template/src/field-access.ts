import { TemplateError } from './errors.js';
import { type Missing, messageOf } from './execution.js';
import { kindOf, lookUp, typeName } from './values.js';

/** How to read a field: its name, what a missing one does, and how errors are worded. */
export type FieldAccess = { name: string; missing: Missing; fail: (detail: string) => TemplateError };

/** The field's value; a function in the data stands for a Go method and is called without arguments. */
export function readField(receiver: unknown, access: FieldAccess): unknown {
  const value = readRawField(receiver, access);
  return typeof value === 'function' ? callMethod(receiver, value as Method, [], access) : value;
}

/** The field's value for `.Field argument`: only a function takes arguments. */
export function callField(receiver: unknown, args: readonly unknown[], access: FieldAccess): unknown {
  const value = readRawField(receiver, access);
  if (typeof value === 'function') return callMethod(receiver, value as Method, args, access);
  throw access.fail(
    kindOf(receiver) === 'struct'
      ? `${access.name} has arguments but cannot be invoked as function`
      : `${access.name} is not a method but has arguments`,
  );
}

/** The field as it stands in the data, functions not called. */
export function readRawField(receiver: unknown, { name, missing, fail }: FieldAccess): unknown {
  const kind = kindOf(receiver);
  if (kind === 'map' || kind === 'struct') {
    const found = lookUp(receiver as object, name);
    // JSON has no undefined: such a field is one that is not there.
    if (found !== undefined && found.value !== undefined) return found.value;
    if (kind === 'map') return missingKey(name, missing, fail);
    if (found !== undefined) return undefined;
  } else if (receiver === undefined) {
    if (missing === 'error') throw fail(`nil data; no entry for key ${JSON.stringify(name)}`);
    return undefined;
  } else if (receiver === null) {
    throw fail(`nil pointer evaluating interface {}.${name}`);
  }
  throw fail(`can't evaluate field ${name} in type ${typeName(receiver)}`);
}

function missingKey(name: string, missing: Missing, fail: FieldAccess['fail']): unknown {
  if (missing === 'error') throw fail(`map has no entry for key ${JSON.stringify(name)}`);
  return missing === 'zero' ? '' : undefined;
}

type Method = (...args: unknown[]) => unknown;

function callMethod(receiver: unknown, method: Method, args: readonly unknown[], access: FieldAccess): unknown {
  try {
    return method.apply(receiver, [...args]);
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw thrown;
    throw access.fail(`error calling ${access.name}: ${messageOf(thrown)}`);
  }
}
