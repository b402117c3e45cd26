import { labelValue, type Node, SwarmdError } from '@swarmd/model';
import { parseAddress, parseSubnet, sameAddress, subnetContains } from './address.js';

/** What of a node a constraint looks at. Keys that name nothing known are `unknown` and never match. */
type Subject =
  | { kind: 'id' | 'hostname' | 'ip' | 'role' | 'os' | 'arch' | 'unknown' }
  | { kind: 'node-label' | 'engine-label'; label: string };

/** One parsed placement constraint, such as `node.labels.tier==web`. */
export interface Constraint {
  key: string;
  operator: '==' | '!=';
  value: string;
  subject: Subject;
  /** `value` in lower case: comparison ignores case. */
  folded: string;
}

/** Prefix of constraint keys and spread descriptors that name a label of the node. */
export const NODE_LABEL_PREFIX = 'node.labels.';
/** Prefix of constraint keys and spread descriptors that name a label of the node's engine. */
export const ENGINE_LABEL_PREFIX = 'engine.labels.';

const OPERATORS = ['==', '!='] as const;
const KEY_PATTERN = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE_PATTERN = /^[a-z0-9:\-_\t\n\f\r .*()?+[\]\\^$|/]+$/i;
const PLAIN_SUBJECTS: ReadonlyMap<string, Subject> = new Map<string, Subject>([
  ['node.id', { kind: 'id' }],
  ['node.hostname', { kind: 'hostname' }],
  ['node.ip', { kind: 'ip' }],
  ['node.role', { kind: 'role' }],
  ['node.platform.os', { kind: 'os' }],
  ['node.platform.arch', { kind: 'arch' }],
]);

/**
 * Parses placement constraints (`key==value`, `key!=value`; see the Docker documentation of `--constraint`).
 * Throws `invalid-argument`, in Docker Swarm's words, for the first one that is malformed.
 */
export function parseConstraints(expressions: readonly string[]): Constraint[] {
  return expressions.map(parseConstraint);
}

function parseConstraint(expression: string): Constraint {
  const operator = OPERATORS.find((candidate) => expression.includes(candidate));
  if (operator === undefined) {
    throw new SwarmdError('invalid-argument', `constraint expected one operator from ${OPERATORS.join(', ')}`);
  }
  const at = expression.indexOf(operator);
  const key = expression.slice(0, at).trim();
  const value = expression.slice(at + operator.length).trim();
  if (!KEY_PATTERN.test(key)) throw new SwarmdError('invalid-argument', `key '${key}' is invalid`);
  if (!VALUE_PATTERN.test(value)) throw new SwarmdError('invalid-argument', `value '${value}' is invalid`);
  return { key, operator, value, subject: subjectOf(key), folded: value.toLowerCase() };
}

function subjectOf(key: string): Subject {
  const nodeLabel = labelAfter(NODE_LABEL_PREFIX, key);
  if (nodeLabel !== undefined) return { kind: 'node-label', label: nodeLabel };
  const engineLabel = labelAfter(ENGINE_LABEL_PREFIX, key);
  if (engineLabel !== undefined) return { kind: 'engine-label', label: engineLabel };
  return PLAIN_SUBJECTS.get(key.toLowerCase()) ?? { kind: 'unknown' };
}

/** The label that `key` names below `prefix` (which may be in any case; the label itself is case-sensitive). */
export function labelAfter(prefix: string, key: string): string | undefined {
  return key.length > prefix.length && key.slice(0, prefix.length).toLowerCase() === prefix
    ? key.slice(prefix.length)
    : undefined;
}

/** The first of `constraints` that `node` does not satisfy, or `undefined` when it satisfies all. */
export function firstMismatch(constraints: readonly Constraint[], node: Node): Constraint | undefined {
  for (const constraint of constraints) if (!satisfies(constraint, node)) return constraint;
  return undefined;
}

/** Whether `node` satisfies every one of `constraints`. */
export function nodeMatches(constraints: readonly Constraint[], node: Node): boolean {
  return firstMismatch(constraints, node) === undefined;
}

function satisfies(constraint: Constraint, node: Node): boolean {
  const { subject } = constraint;
  switch (subject.kind) {
    case 'id':
      return compares(constraint, node.ID);
    case 'hostname':
      return compares(constraint, node.Description?.Hostname);
    case 'role':
      return compares(constraint, node.Spec.Role);
    case 'os':
      return compares(constraint, node.Description?.Platform?.OS);
    case 'arch':
      return compares(constraint, node.Description?.Platform?.Architecture);
    case 'node-label':
      return compares(constraint, labelValue(node.Spec.Labels, subject.label));
    case 'engine-label':
      return compares(constraint, labelValue(node.Description?.Engine?.Labels, subject.label));
    case 'ip':
      return comparesAddress(constraint, node.Status.Addr);
    case 'unknown':
      return false;
  }
}

/** What a node does not have counts as the empty text: `==` fails on it, `!=` passes. */
function compares(constraint: Constraint, actual: string | undefined): boolean {
  const text = actual ?? '';
  const equal = text === constraint.value || text.toLowerCase() === constraint.folded;
  return equal === (constraint.operator === '==');
}

function comparesAddress(constraint: Constraint, actual: string): boolean {
  const nodeAddress = parseAddress(actual);
  const wanted = parseAddress(constraint.value);
  const subnet = wanted === undefined ? parseSubnet(constraint.value) : undefined;
  if (wanted === undefined && subnet === undefined) return false;
  const within =
    nodeAddress !== undefined &&
    (wanted !== undefined
      ? sameAddress(wanted, nodeAddress)
      : subnet !== undefined && subnetContains(subnet, nodeAddress));
  return within === (constraint.operator === '==');
}
