import { simulateControlPlane } from './simulation.js';
const [from, count] = [Number(process.argv[2] ?? 1), Number(process.argv[3] ?? 1)];
const began = performance.now();
let bad = 0;
for (let seed = from; seed < from + count; seed++) {
  const r = await simulateControlPlane({ seed });
  if (r.problems.length > 0) { bad++; console.log(`seed ${seed}: ${r.problems.slice(0, 3).join(' | ').slice(0, 400)}`); if (count === 1) console.log(r.transcript); }
  if (count === 1) console.log(r.digest, r.steps, r.faults, r.acknowledged, r.commits, r.leaders);
}
console.log(`${bad} bad of ${count}, ${((performance.now() - began) / count).toFixed(0)} ms each`);
