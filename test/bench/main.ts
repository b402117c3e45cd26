import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One figure. `name` is a path from general to special, `unit` as usual (s, ms, 1/s, bytes, ratio). */
export interface BenchLine {
  name: string;
  value: number;
  unit: string;
}

/** What each benchmark module exports. */
export interface BenchModule {
  run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void>;
}

const NAMES = ['scheduler', 'store', 'cluster', 'endpoints', 'api', 'ha', 'network'];

/** `npm run bench -- NAME [--json] [args…]`: runs one benchmark, a JSON object or a readable row per figure. */
async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  const [name, ...args] = argv.filter((arg) => arg !== '--json');
  const here = dirname(fileURLToPath(import.meta.url));
  const file = join(here, `${name}.js`);
  if (name === undefined || !NAMES.includes(name) || !existsSync(file)) {
    const there = NAMES.filter((n) => existsSync(join(here, `${n}.js`)));
    console.error(`usage: npm run bench -- NAME [--json] [ARG…]; NAME is one of ${there.join(', ')}`);
    return 2;
  }
  const module = (await import(file)) as BenchModule;
  await module.run((line) => {
    console.log(json ? JSON.stringify(line) : `${line.name.padEnd(48)} ${formatValue(line.value)} ${line.unit}`);
  }, args);
  return 0;
}

function formatValue(value: number): string {
  return (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)).padStart(12);
}

process.exitCode = await main(process.argv.slice(2));
