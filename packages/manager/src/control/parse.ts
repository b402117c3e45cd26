import { SwarmdError } from '@swarmd/model';

/** The part of a zod schema that parsing needs. */
export interface Schema<T> {
  safeParse(
    value: unknown,
  ):
    | { success: true; data: T }
    | { success: false; error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } };
}

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
  const reason = issue?.message ?? 'invalid';
  throw new SwarmdError('invalid-argument', field === '' ? reason : `invalid value for ${field}: ${reason}`, { field });
}
