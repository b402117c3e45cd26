import fc from 'fast-check';
import t from 'tap';
import { parseBytes, parseDurationNs, parseFlag, parseNanoCpus } from '../src/project/quantities.js';

const DURATIONS: [text: string, ns: number | undefined][] = [
  ['0', 0],
  ['1ns', 1],
  ['10us', 10_000],
  ['10µs', 10_000],
  ['500ms', 500e6],
  ['1m30s', 90e9],
  ['1.5h', 5400e9],
  ['.5s', 5e8],
  ['1h5m30s20ms', 3930.02e9],
  ['2d', 172_800e9],
  ['1w', 604_800e9],
  ['-1s', -1e9],
  ['10', undefined],
  ['', undefined],
  ['s', undefined],
  ['1 s', undefined],
  ['1x', undefined],
  ['1.2.3s', undefined],
];

for (const [text, ns] of DURATIONS) {
  t.test(
    `quantities › the duration ${JSON.stringify(text)} is ${ns} ns`,
    async (t) => void t.equal(parseDurationNs(text), ns),
  );
}

const SIZES: [text: string, bytes: number | undefined][] = [
  ['0', 0],
  ['1024', 1024],
  ['1b', 1],
  ['1k', 1024],
  ['1kb', 1024],
  ['1KiB', 1024],
  ['512M', 2 ** 29],
  ['1.5gb', 1.5 * 2 ** 30],
  ['2 G', 2 ** 31],
  ['1t', 2 ** 40],
  ['1p', 2 ** 50],
  ['', undefined],
  ['-1', undefined],
  ['M', undefined],
  ['1x', undefined],
  ['1mib2', undefined],
];

for (const [text, bytes] of SIZES) {
  t.test(
    `quantities › the size ${JSON.stringify(text)} is ${bytes} bytes`,
    async (t) => void t.equal(parseBytes(text), bytes),
  );
}

const CPUS: [text: string, nanoCpus: number | undefined][] = [
  ['1', 1e9],
  ['0.5', 5e8],
  ['.25', 25e7],
  ['2.', 2e9],
  ['0.000000001', 1],
  ['0.1000000000000', 1e8],
  ['1e-05', 10_000],
  ['1.5e-08', 15],
  ['1e-10', undefined],
  ['0.0000000001', undefined],
  ['', undefined],
  ['.', undefined],
  ['-1', undefined],
  ['1e3', undefined],
];

for (const [text, nanoCpus] of CPUS) {
  t.test(
    `quantities › ${JSON.stringify(text)} cores are ${nanoCpus} billionths`,
    async (t) => void t.equal(parseNanoCpus(text), nanoCpus),
  );
}

t.test('quantities › truth has many words', async (t) => {
  t.same(['true', 'Yes', 'y', 'ON', '1'].map(parseFlag), Array(5).fill(true));
  t.same(['false', 'No', 'n', 'OFF', '0'].map(parseFlag), Array(5).fill(false));
  t.equal(parseFlag('maybe'), undefined);
});

t.test('quantities › a duration written from its parts is their sum', async (t) => {
  const part = fc.nat({ max: 59 });
  fc.assert(
    fc.property(part, part, part, (h, m, s) => parseDurationNs(`${h}h${m}m${s}s`) === ((h * 60 + m) * 60 + s) * 1e9),
  );
  t.pass();
});
