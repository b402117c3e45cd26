/** Nanoseconds in each unit that Compose durations know. */
const DURATION_UNITS_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1_000,
  µs: 1_000,
  μs: 1_000,
  ms: 1_000_000,
  s: 1_000_000_000,
  m: 60_000_000_000,
  h: 3_600_000_000_000,
  d: 86_400_000_000_000,
  w: 604_800_000_000_000,
};

/**
 * Nanoseconds of a duration such as `1m30s`, `1.5h` or `2d`; undefined when it is none. `0` needs no unit, everything
 * else does. Source: Compose Specification, "Specifying durations" (days and weeks as Compose reads them).
 */
export function parseDurationNs(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^[-+]?(?:[0-9]*\.?[0-9]*(?:ns|us|µs|μs|ms|s|m|h|d|w))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h|d|w)/g)) {
    if (!/[0-9]/.test(amount!)) return undefined;
    total += Number(amount) * DURATION_UNITS_NS[unit!]!;
  }
  return Math.round(text.startsWith('-') ? -total : total);
}

const BYTE_POWERS = 'kmgtp';

/**
 * Bytes of a size such as `512M`, `1.5gb`, `64kib` or `1024`; units count in steps of 1024, whatever their letters.
 * Undefined when it is no size. Source: Compose Specification, "Specifying byte values".
 */
export function parseBytes(text: string): number | undefined {
  const found = /^([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])i?b?|b)?$/i.exec(text.trim());
  if (found === null) return undefined;
  const power = found[2] === undefined ? 0 : BYTE_POWERS.indexOf(found[2].toLowerCase()) + 1;
  return Math.trunc(Number(found[1]) * 1024 ** power);
}

/** Billionths of a core of a number such as `0.5`; undefined when it is none or needs more than nine decimals. */
export function parseNanoCpus(text: string): number | undefined {
  // Small YAML numbers come as texts with an exponent.
  const plain = /^[0-9.]+e-[0-9]+$/.test(text) ? Number(text).toFixed(15) : text.trim();
  const found = /^([0-9]*)(?:\.([0-9]*))?$/.exec(plain);
  if (found === null || !/[0-9]/.test(plain)) return undefined;
  const decimals = (found[2] ?? '').replace(/0+$/, '');
  if (decimals.length > 9) return undefined;
  const nanoCpus = BigInt(found[1] === '' ? '0' : found[1]!) * 1_000_000_000n + BigInt(decimals.padEnd(9, '0'));
  return Number(nanoCpus);
}

/** The truth value of a text as YAML 1.1 and Compose know them; undefined when it is none. */
export function parseFlag(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  if (['true', 'yes', 'y', 'on', '1'].includes(lower)) return true;
  if (['false', 'no', 'n', 'off', '0'].includes(lower)) return false;
  return undefined;
}
