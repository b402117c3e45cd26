import { SwarmdError } from '@swarmd/model';

/** The part of a zod schema that parsing needs. */
export interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  code: string;
  path: readonly PropertyKey[];
  message: string;
  /** What is allowed, of an issue of code `invalid_value`. */
  values?: readonly unknown[];
}

/** Docker Swarm's words for a value that is none of those allowed, by the end of the field's path. */
const ENUM_WORDS: readonly (readonly [field: RegExp, words: (value: string) => string])[] = [
  [/^Availability$/, (value) => `invalid Availability: "${value}"`],
  [/^Role$/, (value) => `invalid Role: "${value}"`],
  [/RestartPolicy\.Condition$/, (value) => `invalid RestartCondition: "${value}"`],
  [/EndpointSpec\.Mode$/, (value) => `invalid resolution mode: "${value}"`],
  [/(Update|Rollback)Config\.FailureAction$/, (value) => `unrecognized update failure action ${value}`],
  [/(Update|Rollback)Config\.Order$/, (value) => `unrecognized update order ${value}`],
];

/** Words for an issue at a dotted path (array positions left out), or undefined for the schema's own. */
export type IssueWords = (path: string) => string | undefined;

/**
 * `value` checked against a schema. Throws `invalid-argument` that names the first offending field and what is
 * allowed there; unknown fields are kept.
 */
export function parseBody<T>(schema: Schema<T>, value: unknown, words?: IssueWords): T {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.map(String).join('.') ?? '';
  const plainPath = issue?.path.filter((part) => typeof part !== 'number').join('.') ?? '';
  const special = words?.(plainPath);
  if (special !== undefined) throw new SwarmdError('invalid-argument', special, { field, rpc: true });
  const enumWords = issue?.code === 'invalid_value' && ENUM_WORDS.find(([pattern]) => pattern.test(plainPath))?.[1];
  if (enumWords) {
    const allowed = issue.values?.filter((choice) => choice !== '').join(', ');
    const message = `${enumWords(String(valueAt(value, issue.path)))}: accepted are ${allowed}`;
    throw new SwarmdError('invalid-argument', message, { field });
  }
  const reason = issue?.message ?? 'invalid';
  throw new SwarmdError('invalid-argument', field === '' ? reason : `invalid value for ${field}: ${reason}`, { field });
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
