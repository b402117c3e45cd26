import * as fc from 'fast-check';
import t from 'tap';
import { sprintf } from '../src/index.js';

const CASES: readonly (readonly [format: string, args: readonly unknown[], expected: string])[] = [
  ['%s %v %q %x %X', ['a', 'b', 'c\t"', 'hi', 'é'], 'a b "c\\t\\"" 6869 C3A9'],
  ['%5s|%-5s|%.2s|%5.1s|%5q', ['é', 'ab', 'abc', 'xyz', 'a'], '    é|ab   |ab|    x|  "a"'],
  ['%d|%5d|%-5d|%05d|%+d|% d', [3, 3, 3, -3, 3, 3], '3|    3|3    |-0003|+3| 3'],
  ['%x %X %o %b %c %U %q %#x %O', [255, 255, 8, 5, 65, 233, 65, 255, 8], "ff FF 10 101 A U+00E9 'A' 0xff 0o10"],
  ['%.3d|%8.3d', [5, 5], '005|     005'],
  [
    '%f %.2f %8.3f|%-8.1f|%+.2e %g %G',
    [1.5, 2.345, 3.14199, 2.5, 12345.678, 0.000012, 1e-10],
    '1.500000 2.35    3.142|2.5     |+1.23e+04 1.2e-05 1E-10',
  ],
  ['%5.2f %08.3f %.0f %.0f %.0f %.1f', [2.5, 3.14199, 0.5, 1.5, 2.5, 2.25], ' 2.50 0003.142 0 2 2 2.2'],
  ['%v %v %v %v', [1.1, 123456.7, 1234567.8, 1e-7], '1.1 123456.7 1.2345678e+06 1e-07'],
  ['%t %v %5t', [true, false, true], 'true false  true'],
  ['%T %T %T %T %T %T', [1, 'a', true, 1.5, ['a'], null], 'int string bool float64 []string <nil>'],
  [
    '%v %s %q %d',
    [
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
      [1, 2],
    ],
    '[a b] [a b] ["a" "b"] [1 2]',
  ],
  ['%v %+v %#v', [{ b: 1, a: 'x' }, { a: 'x' }, { a: 'x' }], 'map[a:x b:1] map[a:x] map[string]string{"a":"x"}'],
  ['%v %s %v', [null, null, [null]], '<nil> %!s(<nil>) [<nil>]'],
  ['%d %z %t %s', ['x', 1, 1, 2], '%!d(string=x) %!z(int=1) %!t(int=1) %!s(int=2)'],
  ['%d %d', [1], '1 %!d(MISSING)'],
  ['a', [1, 'b', null], 'a%!(EXTRA int=1, string=b, <nil>)'],
  ['100%% %', [], '100% %!(NOVERB)'],
  ['%*d|%-*d|%.*f', [5, 3, 4, 2, 1, 1.25], '    3|2   |1.2'],
  ['%[2]s %[1]s|%[3]v %[1]v', ['a', 'b', 'c'], 'b a|c a'],
  ['%[5]v', [1], '%!v(BADINDEX)'],
  ['%#q %+q %q', ['raw', 'é', '\x00\x7f\u200b😀'], '`raw` "\\u00e9" "\\x00\\x7f\\u200b😀"'],
  ['%d', [9007199254740993n], '9007199254740993'],
];

t.test('printf › prints verbs, flags, widths and mistakes as Go does', async (t) => {
  for (const [format, args, expected] of CASES) t.equal(sprintf(format, args), expected, format);
});

t.test('printf › never fails and leaves text without verbs alone', async () => {
  const anything = fc.anything({ maxDepth: 2, withBigInt: true });
  await fc.assert(
    fc.property(fc.string(), fc.array(anything), (format, args) => typeof sprintf(format, args) === 'string'),
  );
  await fc.assert(fc.property(fc.string(), (text) => sprintf(text.replaceAll('%', '%%'), []) === text));
});

t.test('printf › %d reads back as the number', async () => {
  await fc.assert(fc.property(fc.maxSafeInteger(), (value) => Number(sprintf('%d', [value])) === value));
  await fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (v) => BigInt(sprintf('%d', [v])) === v),
  );
});

t.test('printf › %v and %g of a float read back as the float', async () => {
  const floats = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Number.isInteger(value));
  await fc.assert(fc.property(floats, (value) => Number(sprintf('%v', [value])) === value));
  await fc.assert(fc.property(floats, (value) => sprintf('%g', [value]) === sprintf('%v', [value])));
});

t.test('printf › %q of a string reads back as the string', async () => {
  const template = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0007') && !text.includes('\v'));
  await fc.assert(
    fc.property(template, (text) => {
      const quoted = sprintf('%q', [text]);
      const json = quoted
        .replace(/\\x(..)/g, '\\u00$1')
        .replace(/\\U(.{8})/g, (_all, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
      return JSON.parse(json) === text;
    }),
  );
});

t.test('printf › a width pads to at least that many characters', async () => {
  await fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 50 }), (text, width) => {
      const left = sprintf(`%-${width}s`, [text]);
      const right = sprintf(`%${width}s`, [text]);
      const length = Math.max(width, [...text].length);
      return (
        left.startsWith(text) && right.endsWith(text) && [...left].length === length && [...right].length === length
      );
    }),
  );
});
