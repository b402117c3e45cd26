import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';

/** Above this a list is sent in slices, so that making its JSON never holds up other requests for long. */
const SLICE = 500;

/** Sends a list as JSON, in slices when it is long. */
export function sendList(reply: FastifyReply, items: readonly unknown[]): FastifyReply {
  if (items.length <= SLICE) return reply.send(items);
  return reply.type('application/json; charset=utf-8').send(Readable.from(slices(items)));
}

async function* slices(items: readonly unknown[]): AsyncGenerator<string> {
  for (let at = 0; at < items.length; at += SLICE) {
    const json = JSON.stringify(items.slice(at, at + SLICE));
    const last = at + SLICE >= items.length;
    yield `${at === 0 ? '[' : ','}${json.slice(1, -1)}${last ? ']\n' : ''}`;
    await setImmediate();
  }
}
