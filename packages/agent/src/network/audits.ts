import {
  AuditOptionsSchema,
  type Clock,
  isErrorCode,
  MembersQuestionSchema,
  NETWORK_INQUIRIES,
  type NetworkAudit,
  NetworkAuditSchema,
  type NetworkAudits,
  NetworkMembersSchema,
  ProbeResultSchema,
  ProbeSchema,
  SwarmdError,
} from '@swarmd/model';
import type { InquiryHandlers } from '../session/inquiries.js';
import { callSwarmdNet } from './client.js';

/** Listening and sending take as long as there is to try out. */
const AUDIT_MS = 60_000;

/** What swarmd-net tells people who look for a fault: a client of its socket, without state. */
export function createNetworkAuditsClient(socketPath: string): NetworkAudits {
  const post = (path: string, body: unknown, signal: AbortSignal | undefined): Promise<unknown> =>
    callSwarmdNet(socketPath, { method: 'POST', path, body, timeoutMs: AUDIT_MS, signal });
  return {
    audit: async (options, signal) => understood(NetworkAuditSchema, await post('/audit', options, signal)),
    members: async (networkId, signal) => {
      const path = `/members/${encodeURIComponent(networkId)}`;
      const answer = await callSwarmdNet(socketPath, { method: 'GET', path, timeoutMs: AUDIT_MS, signal });
      return understood(NetworkMembersSchema, answer).lines;
    },
    probe: async (probe, signal) => understood(ProbeResultSchema, await post('/probe', probe, signal)),
  };
}

/** What managers may ask of this node's networks. An audit is answered without swarmd-net, too: that it is not there. */
export function networkInquiries(audits: NetworkAudits, clock: Clock): InquiryHandlers {
  return {
    [NETWORK_INQUIRIES.audit]: async (question, signal) => {
      try {
        return await audits.audit(asked(AuditOptionsSchema, question), signal);
      } catch (thrown) {
        if (signal.aborted || !isErrorCode(thrown, 'unavailable')) throw thrown;
        return silent(clock);
      }
    },
    [NETWORK_INQUIRIES.members]: async (question, signal) => ({
      lines: await audits.members(asked(MembersQuestionSchema, question).networkId, signal),
    }),
    [NETWORK_INQUIRIES.probe]: async (question, signal) => audits.probe(asked(ProbeSchema, question), signal),
  };
}

function silent(clock: Clock): NetworkAudit {
  return { protocol: 0, version: '', networks: [], locals: [], findings: [], clockMs: clock.now() };
}

interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { message: string } };
}

function asked<T>(schema: Schema<T>, question: unknown): T {
  const parsed = schema.safeParse(question);
  if (parsed.success) return parsed.data;
  throw new SwarmdError('invalid-argument', `the question cannot be understood: ${parsed.error.message}`);
}

function understood<T>(schema: Schema<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new SwarmdError(
    'incompatible',
    'swarmd-net gave an answer that cannot be understood: is it of another version?',
  );
}
