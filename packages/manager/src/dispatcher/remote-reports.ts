import { ERROR_CODES, type Node, type NodeDescription, SwarmdError } from '@swarmd/model';
import { MESSAGE_BYTES } from '@swarmd/wire';
import { Arguments } from '../cluster/arguments.js';
import type { LeaderCalls, LeaderHandlers } from '../cluster/leader-calls.js';
import { checkedDataPath, parseAttachments } from './data-path.js';
import { parseDescription } from './description.js';
import type { NodeReports } from './node-reports.js';
import type { NodeSession } from './node-state.js';
import type { BatchResult, StatusSubmission } from './status-writer.js';

/** What the statuses of one call may take; a manager takes in {@link MESSAGE_BYTES} at once. */
const CALL_BYTES = MESSAGE_BYTES / 2;
/** Sessions named in one call: some 70 bytes each. */
const CALL_SESSIONS = 5_000;

/** {@link NodeReports} that the leader writes, whichever manager that is. */
export function remoteReports(leader: LeaderCalls): NodeReports {
  const eachPart = async (method: string, sessions: readonly NodeSession[], more: object = {}): Promise<void> => {
    for (let at = 0; at < sessions.length; at += CALL_SESSIONS) {
      await leader.call(method, { sessions: sessions.slice(at, at + CALL_SESSIONS), ...more });
    }
  };
  return {
    register: async (registration, seenIndex) => {
      const certificate = Buffer.from(registration.certificate).toString('base64');
      const answer = await leader.call('node.register', { ...registration, certificate, seenIndex });
      if (answer === null || answer === undefined) return undefined;
      const read = new Arguments(answer);
      return { node: read.object('node') as Node, index: read.count('index') };
    },
    describe: async (nodeId, description) => void (await leader.call('node.describe', { nodeId, description })),
    attach: async (nodeId, session, attachments) =>
      void (await leader.call('node.attach', { nodeId, session, attachments })),
    silent: async (nodeId, session, message) =>
      (await leader.call('node.silent', { nodeId, session, message })) === true,
    away: async (nodeId, session, backWithinMs) =>
      void (await leader.call('node.away', { nodeId, session, backWithinMs })),
    lost: (sessions, message) => eachPart('node.lost', sessions, { message }),
    found: (sessions) => eachPart('node.found', sessions),
    statuses: (submissions) => submitInParts(leader, submissions),
    duplicate: async (nodeId, message) => void (await leader.call('node.duplicate', { nodeId, message })),
  };
}

/** What the leader does when other managers call for {@link remoteReports}. */
export function reportHandlers(local: NodeReports): LeaderHandlers {
  const sessionsIn = (args: Arguments): NodeSession[] =>
    args.list('sessions').map((one) => ({ nodeId: one.text('nodeId'), session: one.optionalText('session') }));
  const handlers: Record<string, (args: Arguments) => Promise<unknown>> = {
    'node.register': async (args) => {
      const [nodeId, sessionId, bootNonce] = [args.text('nodeId'), args.text('sessionId'), args.text('bootNonce')];
      const [managerId, addr] = [args.text('managerId'), args.text('addr')];
      const role = args.oneOf('role', ['worker', 'manager']);
      const description = args.has('description') ? descriptionIn(args) : undefined;
      const certificate = args.bytes('certificate');
      const version = args.optionalText('version') ?? '';
      const dataPath = args.has('dataPath') ? checkedDataPath(args.object('dataPath')) : undefined;
      const who = { nodeId, sessionId, bootNonce, managerId, addr, role, certificate };
      const registration = { ...who, description, version, dataPath };
      return (await local.register(registration, args.count('seenIndex'))) ?? null;
    },
    'node.describe': (args) => local.describe(args.text('nodeId'), descriptionIn(args)),
    'node.attach': (args) => {
      const attachments = parseAttachments(Buffer.from(JSON.stringify(args.array('attachments'))));
      return local.attach(args.text('nodeId'), args.text('session'), attachments);
    },
    'node.silent': (args) => local.silent(args.text('nodeId'), args.optionalText('session'), args.text('message')),
    'node.away': (args) => local.away(args.text('nodeId'), args.text('session'), args.count('backWithinMs')),
    'node.lost': (args) => local.lost(sessionsIn(args), args.text('message')),
    'node.found': (args) => local.found(sessionsIn(args)),
    'node.statuses': (args) => local.statuses(args.list('submissions').map(submissionIn)),
    'node.duplicate': (args) => local.duplicate(args.text('nodeId'), args.text('message')),
  };
  const entries = Object.entries(handlers);
  return Object.fromEntries(entries.map(([method, handle]) => [method, async (args) => handle(new Arguments(args))]));
}

function descriptionIn(args: Arguments): NodeDescription {
  return parseDescription(Buffer.from(JSON.stringify(args.object('description'))))!;
}

interface SentSubmission {
  nodeId: string;
  statuses: { taskId: string; status: string }[];
}

function submissionIn(args: Arguments): StatusSubmission {
  const statuses = args.list('statuses').map((one) => ({ taskId: one.text('taskId'), status: one.bytes('status') }));
  return { nodeId: args.text('nodeId'), statuses };
}

async function submitInParts(leader: LeaderCalls, submissions: readonly StatusSubmission[]): Promise<BatchResult[]> {
  const results: BatchResult[] = submissions.map(() => ({ storeIndex: 0, rejected: [] }));
  for (const part of splitSubmissions(submissions, CALL_BYTES)) {
    const answer = await leader.call('node.statuses', { submissions: part.map(({ sent }) => sent) });
    if (!Array.isArray(answer) || answer.length !== part.length) {
      throw new SwarmdError('internal', 'the leader’s answer to a batch of statuses cannot be used');
    }
    for (const [i, one] of answer.entries()) {
      const read = new Arguments(one);
      const into = results[part[i]!.of]!;
      into.storeIndex = Math.max(into.storeIndex, read.count('storeIndex'));
      for (const refused of read.list('rejected')) {
        into.rejected.push({ taskId: refused.text('taskId'), code: refused.oneOf('code', ERROR_CODES) });
      }
    }
  }
  return results;
}

/**
 * Batches cut into calls of at most `maxBytes`, in order, a batch over several calls where it must be; `of` tells which
 * batch a part belongs to. A status larger than that goes alone. Every batch is in at least one call.
 */
export function splitSubmissions(
  submissions: readonly StatusSubmission[],
  maxBytes: number,
): { of: number; sent: SentSubmission }[][] {
  const calls: { of: number; sent: SentSubmission }[][] = [[]];
  let bytes = 0;
  for (const [of, { nodeId, statuses }] of submissions.entries()) {
    calls.at(-1)!.push({ of, sent: { nodeId, statuses: [] } });
    for (const { taskId, status } of statuses) {
      const encoded = Buffer.from(status).toString('base64');
      const size = encoded.length + taskId.length + 30;
      if (bytes > 0 && bytes + size > maxBytes) {
        calls.push([{ of, sent: { nodeId, statuses: [] } }]);
        bytes = 0;
      }
      calls.at(-1)!.at(-1)!.sent.statuses.push({ taskId, status: encoded });
      bytes += size;
    }
  }
  return calls;
}
