import { SwarmdError } from '@swarmd/model';

/** What another manager sent, read field by field. Each read throws `invalid-argument` when the field has another type. */
export class Arguments {
  readonly #value: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid('the arguments', 'an object');
    this.#value = value as Record<string, unknown>;
  }

  text(field: string): string {
    const value = this.#value[field];
    if (typeof value !== 'string') throw invalid(field, 'a text');
    return value;
  }

  optionalText(field: string): string | undefined {
    return this.has(field) ? this.text(field) : undefined;
  }

  /** A whole number that is not negative. */
  count(field: string): number {
    const value = this.#value[field];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw invalid(field, 'a whole number');
    return value as number;
  }

  flag(field: string): boolean {
    const value = this.#value[field];
    if (typeof value !== 'boolean') throw invalid(field, 'true or false');
    return value;
  }

  oneOf<T extends string>(field: string, allowed: readonly T[]): T {
    const value = this.text(field) as T;
    if (!allowed.includes(value)) throw invalid(field, allowed.join(' or '));
    return value;
  }

  /** Bytes that travelled as base64. */
  bytes(field: string): Buffer {
    return Buffer.from(this.text(field), 'base64');
  }

  /** An object, for whoever knows what is in it. */
  object(field: string): object {
    const value = this.#value[field];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, 'an object');
    return value;
  }

  nested(field: string): Arguments {
    return new Arguments(this.object(field));
  }

  list(field: string): Arguments[] {
    const value = this.#value[field];
    if (!Array.isArray(value)) throw invalid(field, 'a list');
    return value.map((item) => new Arguments(item));
  }

  /** A list, for whoever knows what is in it. */
  array(field: string): unknown[] {
    const value = this.#value[field];
    if (!Array.isArray(value)) throw invalid(field, 'a list');
    return value;
  }

  has(field: string): boolean {
    return this.#value[field] !== undefined && this.#value[field] !== null;
  }
}

function invalid(field: string, expected: string): SwarmdError {
  return new SwarmdError('invalid-argument', `another manager’s call cannot be used: ${field} must be ${expected}`, {
    field,
  });
}
