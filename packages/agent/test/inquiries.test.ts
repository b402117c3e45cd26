import { SwarmdError } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import type { Inquiry, InquiryAnswer } from '@swarmd/wire';
import t from 'tap';
import { createAnswerer, type InquiryHandlers } from '../src/session/inquiries.js';

const inquiry = (over: Partial<Inquiry> & { asked?: unknown } = {}): Inquiry => ({
  ...{ id: 'q1', kind: 'echo', timeoutMs: 1_000 },
  question: Buffer.from(JSON.stringify(over.asked ?? { a: 1 })),
  ...over,
});

const told = ({ answer, errorCode }: InquiryAnswer): unknown =>
  errorCode === '' ? JSON.parse(answer.toString()) : errorCode;

function answerer(handlers: InquiryHandlers) {
  const clock = manualClock();
  const session = new AbortController();
  const { answer } = createAnswerer(handlers, clock);
  return { clock, session, ask: (asked: Inquiry) => answer(asked, session.signal) };
}

/** Waits until its signal fires. */
const waits = (_question: unknown, signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

t.test('inquiries › are answered by the handler of their kind, and what it throws is the answer', async (t) => {
  const { ask } = answerer({
    echo: async (question) => ({ got: question }),
    fails: async () => {
      throw new SwarmdError('in-use', 'not now');
    },
    breaks: async () => {
      throw new TypeError('of null');
    },
    nothing: async () => undefined,
  });
  const answered = await ask(inquiry());
  t.match(answered, { id: 'q1', errorCode: '', error: '' });
  t.same(told(answered), { got: { a: 1 } });
  t.match(await ask(inquiry({ kind: 'fails' })), { errorCode: 'in-use', error: 'not now' });
  t.match(await ask(inquiry({ kind: 'breaks' })), { errorCode: 'internal', error: 'of null' });
  t.equal(told(await ask(inquiry({ kind: 'nothing' }))), null);
  t.equal(told(await ask(inquiry({ kind: 'toString' }))), 'unimplemented', 'names of Object are no kinds');
  t.equal(told(await ask(inquiry({ question: Buffer.from('{') }))), 'internal');
});

t.test('inquiries › an answer that a manager would not take is an error instead', async (t) => {
  const { ask } = answerer({ echo: async () => 'x'.repeat(800_000) });
  t.match(await ask(inquiry()), { errorCode: 'failed-precondition', error: /800002 bytes/ });
});

t.test('inquiries › end in time, and with the session', async (t) => {
  const { ask, clock, session } = answerer({ waits });
  const late = ask(inquiry({ kind: 'waits' }));
  clock.advance(1_000);
  t.equal(told(await late), 'deadline-exceeded');
  const cut = ask(inquiry({ kind: 'waits' }));
  session.abort(new SwarmdError('aborted', 'the session is over'));
  t.equal(told(await cut), 'aborted');
});

t.test('inquiries › more than eight at once are refused, and others are taken again afterwards', async (t) => {
  const { ask, clock } = answerer({ waits, echo: async () => 'ok' });
  const open = Array.from({ length: 8 }, (_, i) => ask(inquiry({ id: `q${i}`, kind: 'waits' })));
  t.equal(told(await ask(inquiry())), 'unavailable');
  clock.advance(1_000);
  t.same(new Set((await Promise.all(open)).map(told)), new Set(['deadline-exceeded']));
  t.equal(told(await ask(inquiry())), 'ok');
});
