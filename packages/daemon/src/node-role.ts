/** The role that a node's object, as managers tell it (JSON), gives the node; `undefined` when it says nothing of it. */
export function asNodeRole(json: Uint8Array): string | undefined {
  if (json.length === 0) return undefined;
  const node = JSON.parse(Buffer.from(json).toString('utf8')) as { Spec?: { Role?: string } };
  return node.Spec?.Role;
}
