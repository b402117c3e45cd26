const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'] as const;
const FACTORS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** Bytes of `512m`, `1.5GiB`, `64 kb`; factors are powers of 1024. Throws an Error that says what is wrong. */
export function parseBytes(text: string): number {
  const split = Math.max(...[...'0123456789. '].map((char) => text.lastIndexOf(char))) + 1;
  const number = text.slice(0, split).trim();
  const suffix = text.slice(split).toLowerCase();
  if (split === 0) throw new Error(`invalid size: '${text}'`);
  const size = Number(number);
  if (number === '' || Number.isNaN(size)) {
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(number)}: invalid syntax`);
  }
  if (size < 0) throw new Error(`invalid size: '${text}'`);
  const shape = /^(?:b|([kmgtp])(?:i?b)?)?$/.exec(suffix);
  if (shape === null) throw new Error(`invalid suffix: '${suffix}'`);
  return Math.trunc(size * (shape[1] === undefined ? 1 : FACTORS[shape[1]]!));
}

/** Bytes for people, four significant digits: `23.54GiB`. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${Number(size.toPrecision(4))}${UNITS[unit]}`;
}

/** 10⁻⁹ CPUs of `0.5` or `1/4`. Throws an Error that says what is wrong. */
export function parseNanoCpus(text: string): number {
  const match = /^([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\/(\d+))?$/.exec(text);
  if (match === null || match[2] === '0') throw new Error(`failed to parse ${text} as a rational number`);
  const nano = (Number(match[1]) / Number(match[2] ?? '1')) * 1e9;
  const rounded = Math.round(nano);
  if (Math.abs(nano - rounded) > 1e-6) throw new Error('value is too precise');
  return rounded;
}
