/** `.A.B`: fields of dot. */
export type FieldNode = { kind: 'field'; offset: number; names: string[] };
/** `$x.A`: a variable by its slot, and fields of it. A slot of -1 is a variable nobody declared. */
export type VariableNode = { kind: 'variable'; offset: number; name: string; slot: number; names: string[] };
/** `(…).A`: fields of a parenthesised pipeline or of a function's result. */
export type ChainNode = { kind: 'chain'; offset: number; node: OperandNode; names: string[] };
/** A function's name. */
export type IdentifierNode = { kind: 'identifier'; offset: number; name: string };
/** A literal, with its text in the template. */
export type LiteralNode = {
  kind: 'literal';
  offset: number;
  type: 'bool' | 'number' | 'string' | 'nil';
  value: boolean | number | bigint | string | null;
  text: string;
};
/** `.`. */
export type DotNode = { kind: 'dot'; offset: number };
/** What a command is made of. */
export type OperandNode = FieldNode | VariableNode | ChainNode | IdentifierNode | LiteralNode | DotNode | PipelineNode;
/** A function or value with its arguments. */
export type CommandNode = { kind: 'command'; offset: number; args: OperandNode[] };
/** `$x := a | b`; `variables` are declared, or assigned to if `assigns`. */
export type PipelineNode = {
  kind: 'pipeline';
  offset: number;
  variables: { name: string; slot: number }[];
  assigns: boolean;
  commands: CommandNode[];
};
/** `if`, `with` and `range`. */
export type BranchNode = {
  kind: 'if' | 'with' | 'range';
  offset: number;
  pipeline: PipelineNode;
  body: StatementNode[];
  otherwise: StatementNode[] | undefined;
};
/** `{{template "name" pipeline}}`. */
export type CallNode = { kind: 'template'; offset: number; name: string; pipeline: PipelineNode | undefined };
/** What a template's body is made of. */
export type StatementNode =
  | { kind: 'text'; offset: number; text: string }
  | { kind: 'action'; offset: number; pipeline: PipelineNode }
  | { kind: 'break' | 'continue'; offset: number }
  | BranchNode
  | CallNode;

/** The node as Go prints it in error messages. */
export function describeNode(node: OperandNode | CommandNode | CallNode): string {
  switch (node.kind) {
    case 'field':
      return `.${node.names.join('.')}`;
    case 'variable':
      return [node.name, ...node.names].join('.');
    case 'chain':
      return `${parenthesise(node.node)}.${node.names.join('.')}`;
    case 'identifier':
      return node.name;
    case 'literal':
      return node.text;
    case 'dot':
      return '.';
    case 'command':
      return node.args.map(parenthesise).join(' ');
    case 'pipeline':
      return describePipeline(node);
    case 'template':
      return `{{template ${JSON.stringify(node.name)}${node.pipeline ? ` ${describePipeline(node.pipeline)}` : ''}}}`;
  }
}

function parenthesise(node: OperandNode): string {
  return node.kind === 'pipeline' ? `(${describeNode(node)})` : describeNode(node);
}

function describePipeline(node: PipelineNode): string {
  const commands = node.commands.map(describeNode).join(' | ');
  if (node.variables.length === 0) return commands;
  return `${node.variables.map((v) => v.name).join(', ')} ${node.assigns ? '=' : ':='} ${commands}`;
}
