import t from 'tap';
import { UsageError } from '../src/program/errors.js';
import { bool, duration, list, strings, text, uint } from '../src/program/flag-types.js';
import { parseFlags } from '../src/program/parse.js';

const FLAGS = {
  quiet: bool('', { short: 'q' }),
  detach: bool('', { short: 'd', initial: true }),
  name: text(''),
  tail: text('', { short: 'n' }),
  label: list('', { short: 'l' }),
  file: strings('', { short: 'c' }),
  replicas: uint(''),
  delay: duration(''),
};

const accepted: [argv: string[], values: Record<string, unknown>, args: string[]][] = [
  [['a', 'b'], { quiet: false, detach: true, label: [] }, ['a', 'b']],
  [['--name', 'web', 'x'], { name: 'web' }, ['x']],
  [['--name=web=1'], { name: 'web=1' }, []],
  [['--name='], { name: '' }, []],
  [['-q', 'x', '--detach=false'], { quiet: true, detach: false }, ['x']],
  [['-qn5'], { quiet: true, tail: '5' }, []],
  [['-n=5'], { tail: '5' }, []],
  [['-n', '5'], { tail: '5' }, []],
  [['-l', 'a=b', '--label', 'c'], { label: ['a=b', 'c'] }, []],
  [['-c', 'a,b', '-cc'], { file: ['a', 'b', 'c'] }, []],
  [['--', '--name', '-q'], { quiet: false }, ['--name', '-q']],
  [['-'], {}, ['-']],
  [['--replicas', '3', '--delay', '1m30s'], { replicas: 3, delay: 90e9 }, []],
];

for (const [argv, values, args] of accepted) {
  t.test(`flags › ${argv.join(' ')} is understood`, async (t) => {
    const parsed = parseFlags(argv, FLAGS, { interspersed: true });
    t.match(parsed.flags, values);
    t.same(parsed.args, args);
  });
}

const refused: [argv: string[], message: string][] = [
  [['--nope'], 'unknown flag: --nope'],
  [['-x'], "unknown shorthand flag: 'x' in -x"],
  [['-qx'], "unknown shorthand flag: 'x' in -qx"],
  [['--name'], 'flag needs an argument: --name'],
  [['-n'], "flag needs an argument: 'n' in -n"],
  [['--replicas', 'x'], 'invalid argument "x" for "--replicas" flag: strconv.ParseUint: parsing "x": invalid syntax'],
  [
    ['--quiet=maybe'],
    'invalid argument "maybe" for "-q, --quiet" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  ],
  [['--delay', '3x'], 'invalid argument "3x" for "--delay" flag: time: unknown unit "x" in duration "3x"'],
];

for (const [argv, message] of refused) {
  t.test(`flags › ${argv.join(' ')} is refused`, async (t) => {
    const error = t.throws(() => parseFlags(argv, FLAGS, { interspersed: true })) as UsageError;
    t.ok(error instanceof UsageError);
    t.equal(error.message, message);
    t.equal(error.exitCode, 125);
  });
}

t.test('flags › end at the first argument where they may not be mixed', async (t) => {
  const { flags, args } = parseFlags(['--name', 'web', 'nginx', '--name', 'x', '-q'], FLAGS, { interspersed: false });
  t.match(flags, { name: 'web', quiet: false });
  t.same(args, ['nginx', '--name', 'x', '-q']);
});

t.test('flags › tell what was given from what is there by default', async (t) => {
  const { given } = parseFlags(['--detach', '-l', 'a'], FLAGS, { interspersed: true });
  t.same([...given].sort(), ['detach', 'label']);
});
