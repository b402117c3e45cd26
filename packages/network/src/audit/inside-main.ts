import { answerInside, type InsideQuestion } from './inside.js';

// Started by `reach.ts` inside a container's network namespace: one question as an argument, the answer on stdout.
const answer = await answerInside(JSON.parse(process.argv[2] ?? '') as InsideQuestion);
process.stdout.write(JSON.stringify(answer));
