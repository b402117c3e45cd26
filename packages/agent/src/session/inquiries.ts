import { asSwarmdError, type Clock, SwarmdError, withDeadline } from '@swarmd/model';
import type { Inquiry, InquiryAnswer } from '@swarmd/wire';

/** Questions that are answered at once; more are refused. */
const MAX_OPEN = 8;
/** A manager takes no messages over a megabyte. */
const MAX_ANSWER_BYTES = 768 * 1024;

/** Answers one kind of question; what it throws is told. It must check the question, and end when `signal` fires. */
export type InquiryHandler = (question: unknown, signal: AbortSignal) => Promise<unknown>;
/** What managers may ask this node, by kind. */
export type InquiryHandlers = Readonly<Record<string, InquiryHandler>>;

/** Answers what managers ask. */
export interface Answerer {
  /** Never rejects: what goes wrong is an answer too. `signal`: the session's. */
  answer(inquiry: Inquiry, signal: AbortSignal): Promise<InquiryAnswer>;
}

/** An {@link Answerer} with `handlers`. */
export function createAnswerer(handlers: InquiryHandlers, clock: Clock): Answerer {
  let open = 0;
  const answer = async ({ kind, question, timeoutMs }: Inquiry, signal: AbortSignal): Promise<Buffer> => {
    const handler = Object.hasOwn(handlers, kind) ? handlers[kind] : undefined;
    if (handler === undefined)
      throw new SwarmdError('unimplemented', `this node’s swarmd cannot answer questions of kind ${kind}`);
    if (open >= MAX_OPEN) throw new SwarmdError('unavailable', `this node answers ${MAX_OPEN} questions already`);
    open += 1;
    try {
      const asked: unknown = JSON.parse(Buffer.from(question).toString('utf8') || 'null');
      const answered = await withDeadline(clock, timeoutMs, signal, (bounded) => handler(asked, bounded));
      const bytes = Buffer.from(JSON.stringify(answered ?? null));
      if (bytes.length <= MAX_ANSWER_BYTES) return bytes;
      throw new SwarmdError(
        'failed-precondition',
        `the answer has ${bytes.length} bytes, and may have ${MAX_ANSWER_BYTES}`,
      );
    } finally {
      open -= 1;
    }
  };
  return {
    answer: async (inquiry, signal) => {
      const { id } = inquiry;
      try {
        return { id, answer: await answer(inquiry, signal), errorCode: '', error: '' };
      } catch (thrown) {
        const { code, message } = asSwarmdError(thrown);
        return { id, answer: Buffer.alloc(0), errorCode: code, error: message };
      }
    },
  };
}
