import { createSocket } from 'node:dgram';
import { decode, encode } from 'dns-packet';

// A name server inside a namespace: knows `web`, and tells it to one asker alone. Arguments: own address, asker, answer.
const [address, asker, answer] = process.argv.slice(2) as [string, string, string];
const socket = createSocket('udp4');
socket.on('message', (message, { address: from, port }) => {
  const { id = 0, questions = [] } = decode(message);
  const known = questions[0]?.name === 'web' && from === asker;
  const answers = known ? [{ type: 'A' as const, name: 'web', data: answer }] : [];
  // 3 is NXDOMAIN.
  const reply = encode({ type: 'response', id, flags: known ? 0 : 3, questions, answers });
  socket.send(reply, port, from);
});
socket.bind(53, address, () => process.stdout.write('ready\n'));
