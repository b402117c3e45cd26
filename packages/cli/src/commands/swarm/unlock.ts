import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { getCluster, getInfo, getUnlockKey } from '../../client/resources.js';
import { type Command, type CommandContext, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';
import { bool } from '../../program/flag-types.js';
import { unlockAdvice } from './unlock-advice.js';
import { postClusterUpdate } from './update.js';

/** `unlock`. */
export const swarmUnlock: Command = command({
  name: 'unlock',
  summary: 'Unlock swarm',
  async run(context) {
    // Nobody is asked for a key that nothing needs.
    const { LocalNodeState: state } = (await getInfo(context.client)).Swarm;
    if (state === 'inactive') throw new CommandError('Error: This node is not part of a swarm');
    if (state !== 'locked') throw new CommandError('Error: swarm is not locked');
    const UnlockKey = await readKey(context);
    await context.client.post('/swarm/unlock', { body: { UnlockKey } });
  },
});

/** `unlock-key`. */
export const swarmUnlockKey: Command = command({
  name: 'unlock-key',
  summary: 'Manage the unlock key',
  flags: {
    quiet: bool('Only display token', { short: 'q' }),
    rotate: bool('Rotate unlock key'),
  },
  async run({ client, out }, { flags }) {
    if (flags.rotate) {
      const cluster = await getCluster(client);
      if (cluster.Spec.EncryptionConfig?.AutoLockManagers !== true)
        throw new CommandError('cannot rotate because autolock is not turned on');
      await postClusterUpdate(client, cluster, cluster.Spec, { rotateManagerUnlockKey: true });
      if (!flags.quiet) out.write('Successfully rotated manager unlock key.\n');
    }
    const key = await getUnlockKey(client);
    if (key === '') throw new CommandError('no unlock key is set');
    out.write(flags.quiet ? `${key}\n` : unlockAdvice(key));
  },
});

/** The first line of standard input; at a terminal it is asked for and not shown. */
async function readKey({ stdin, err }: CommandContext): Promise<string> {
  const terminal = 'isTTY' in stdin && stdin.isTTY === true;
  if (terminal) err.write('Please enter unlock key: ');
  // What is typed goes nowhere: with `terminal`, readline turns the terminal's own echo off.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal });
  try {
    for await (const line of lines) return line.trim();
    return '';
  } finally {
    lines.close();
    if (terminal) err.write('\n');
  }
}
