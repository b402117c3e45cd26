import { applyFlags, type Directive, formatValue } from './format-value.js';
import { kindOf, typeName } from './values.js';

const WIDTH_LIMIT = 1_000_000;
const DIRECTIVE = /%([-+# 0]*)(?:(\[\d+\])?(\*)|(\d+))?(?:\.(?:(\[\d+\])?(\*)|(\d+))?)?(\[\d+\])?/y;

/** Go's fmt.Sprint: operands joined, with a space between two that are both not strings. */
export function sprint(values: readonly unknown[]): string {
  let out = '';
  values.forEach((value, index) => {
    if (index > 0 && typeof value !== 'string' && typeof values[index - 1] !== 'string') out += ' ';
    out += formatValue(value, plainDirective('v'));
  });
  return out;
}

/** Go's fmt.Sprintln: operands joined by spaces, and a newline. */
export function sprintln(values: readonly unknown[]): string {
  return `${values.map((value) => formatValue(value, plainDirective('v'))).join(' ')}\n`;
}

/** Go's fmt.Sprintf: all verbs but %p, with flags, widths, precisions, `*` and `[n]`; mistakes print as Go prints them. */
export function sprintf(format: string, values: readonly unknown[]): string {
  return new Formatter(values).run(format);
}

function plainDirective(verb: string): Directive {
  return { verb, flags: '', width: undefined, precision: undefined };
}

class Formatter {
  private readonly values: readonly unknown[];
  private next = 0;
  private reordered = false;

  constructor(values: readonly unknown[]) {
    this.values = values;
  }

  run(format: string): string {
    let out = '';
    let offset = 0;
    while (true) {
      const percent = format.indexOf('%', offset);
      if (percent === -1) break;
      out += format.slice(offset, percent);
      DIRECTIVE.lastIndex = percent;
      const match = DIRECTIVE.exec(format)!;
      const end = percent + match[0].length;
      const verb = end < format.length ? String.fromCodePoint(format.codePointAt(end)!) : undefined;
      out += verb === undefined ? '%!(NOVERB)' : this.directive(match, verb);
      offset = end + (verb?.length ?? 0);
    }
    return out + format.slice(offset) + this.extra();
  }

  private directive(match: RegExpExecArray, verb: string): string {
    if (verb === '%') return '%';
    const [text, flags, widthIndex, widthStar, width, precisionIndex, precisionStar, precision, index] = match;
    const directive: Directive = { verb, flags: flags!, width: undefined, precision: undefined };
    let problem = '';
    if (widthStar !== undefined) {
      const value = this.star(widthIndex);
      if (value === undefined) problem += '%!(BADWIDTH)';
      else if (value < 0) Object.assign(directive, { width: -value, flags: `-${flags!.replaceAll('0', '')}` });
      else directive.width = value;
    } else if (width !== undefined) directive.width = limited(width);
    if (precisionStar !== undefined) {
      const value = this.star(precisionIndex);
      if (value === undefined || value < 0) problem += '%!(BADPREC)';
      else directive.precision = value;
    } else if (text.includes('.')) directive.precision = limited(precision ?? '0');
    if (index !== undefined && !this.moveTo(index)) return `${problem}%!${verb}(BADINDEX)`;
    if (this.next >= this.values.length) return `${problem}%!${verb}(${this.reordered ? 'BADINDEX' : 'MISSING'})`;
    const value = this.values[this.next++];
    if (verb === 'T') return problem + applyFlags(typeName(value), { ...directive, verb: 's' });
    return problem + formatValue(value, directive);
  }

  private star(index: string | undefined): number | undefined {
    if (index !== undefined && !this.moveTo(index)) return undefined;
    const value = this.next < this.values.length ? this.values[this.next++] : undefined;
    return kindOf(value) === 'int' && Math.abs(Number(value)) <= WIDTH_LIMIT ? Number(value) : undefined;
  }

  private moveTo(index: string): boolean {
    this.reordered = true;
    const target = Number(index.slice(1, -1)) - 1;
    if (target < 0 || target >= this.values.length) return false;
    this.next = target;
    return true;
  }

  private extra(): string {
    if (this.reordered || this.next >= this.values.length) return '';
    const extras = this.values.slice(this.next).map((value) => {
      return kindOf(value) === 'nil' ? '<nil>' : `${typeName(value)}=${formatValue(value, plainDirective('v'))}`;
    });
    return `%!(EXTRA ${extras.join(', ')})`;
  }
}

function limited(digits: string): number | undefined {
  const value = Number(digits);
  return value <= WIDTH_LIMIT ? value : undefined;
}
