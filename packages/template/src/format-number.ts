type NumberDirective = { verb: string; flags: string; precision: number | undefined };

const BASES: Readonly<Record<string, number>> = { v: 10, d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 };
// As many as JavaScript gives: enough to tell what lies just between two decimals.
const MOST_DIGITS = 100;
const PREFIXES: Readonly<Record<string, string>> = { b: '0b', o: '0', x: '0x', X: '0X' };

/** A whole number by %v, %d, %b, %o, %O, %x or %X, not padded. */
export function formatInteger(value: bigint, { verb, flags, precision }: NumberDirective): string {
  const magnitude = value < 0n ? -value : value;
  let digits = precision === 0 && magnitude === 0n ? '' : magnitude.toString(BASES[verb]);
  digits = digits.padStart(precision ?? 0, '0');
  if (verb === 'O') digits = `0o${digits}`;
  else if (flags.includes('#') && verb in PREFIXES) digits = PREFIXES[verb]! + digits;
  return (value < 0n ? '-' : '') + (verb === 'X' ? digits.toUpperCase() : digits);
}

/** A number by %v, %e, %f, %g and their capitals, not padded. */
export function formatFloat(value: number, { verb, precision }: NumberDirective): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const negative = value < 0 || Object.is(value, -0);
  const magnitude = formatMagnitude(Math.abs(value), verb.toLowerCase(), precision);
  const text = (negative ? '-' : '') + magnitude;
  return verb === 'E' || verb === 'G' ? text.toUpperCase() : text;
}

function formatMagnitude(value: number, verb: string, precision: number | undefined): string {
  if (verb === 'e') return goExponent(toExponential(value, Math.min(precision ?? 6, MOST_DIGITS)));
  if (verb === 'f')
    return value < 1e21 ? toFixed(value, Math.min(precision ?? 6, MOST_DIGITS)) : fixedLarge(value, precision ?? 6);
  return formatShortest(value, precision);
}

function fixedLarge(value: number, precision: number): string {
  return BigInt(value).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
}

/** %g: the fewest digits (or `precision` of them), with an exponent when it is below -4 or too large. */
function formatShortest(value: number, precision: number | undefined): string {
  const significant = precision === 0 ? 1 : precision;
  const scientific =
    significant === undefined ? value.toExponential() : toExponential(value, Math.min(significant - 1, MOST_DIGITS));
  const [mantissa, exponentText] = scientific.split('e') as [string, string];
  const digits = mantissa.replace('.', '').replace(/0+$/, '') || '0';
  const exponent = Number(exponentText);
  let limit = significant ?? 6;
  if (significant !== undefined && limit > digits.length && digits.length >= exponent + 1) limit = digits.length;
  if (exponent < -4 || exponent >= limit) {
    const short = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    return goExponent(`${short}e${exponentText}`);
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = digits.slice(exponent + 1);
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

function toFixed(value: number, precision: number): string {
  const exact = value.toFixed(MOST_DIGITS);
  return evenTie(exact, exact.indexOf('.') + 1 + precision) ?? value.toFixed(precision);
}

function toExponential(value: number, precision: number): string {
  const [exact, exponent] = value.toExponential(MOST_DIGITS).split('e') as [string, string];
  const tie = evenTie(exact, 2 + precision);
  return tie === undefined ? value.toExponential(precision) : `${tie}e${exponent}`;
}

/** JavaScript rounds what lies just between two decimals up, Go to the even one: `digits` cut at `end` if that is it. */
function evenTie(digits: string, end: number): string | undefined {
  if (!/^50*$/.test(digits.slice(end))) return undefined;
  const kept = digits.slice(0, end).replace(/\.$/, '');
  return /[02468]$/.test(kept) ? kept : undefined;
}

/** JavaScript writes 1e+5 where Go writes 1e+05. */
function goExponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}
