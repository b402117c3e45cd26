import { connect, createServer, type Server, type Socket } from 'node:net';

/** A way to an etcd on which messages can be held up and lost. */
export interface LossyProxy {
  endpoint: string;
  /** What is sent in this direction from now on never arrives. */
  hold(direction: 'requests' | 'answers'): void;
  /** Resolves when something was held up. */
  held(): Promise<void>;
  /** Breaks the connections, with what was held up; new ones work. */
  cut(): void;
}

/** Starts a proxy to `endpoint` that goes with the test. */
export async function lossyProxy(t: { after: (fn: () => unknown) => void }, endpoint: string): Promise<LossyProxy> {
  const sockets = new Set<Socket>();
  const [host, port] = endpoint.split(':') as [string, string];
  let holding: 'requests' | 'answers' | undefined;
  let onHeld = (): void => {};
  let held = new Promise<void>(() => {});
  const pass = (from: Socket, to: Socket, direction: 'requests' | 'answers'): void => {
    sockets.add(from);
    from.on('data', (data) => {
      if (holding === direction) onHeld();
      else to.write(data);
    });
    from.on('error', () => {});
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server: Server = createServer((near) => {
    const far = connect(Number(port), host);
    pass(near, far, 'requests');
    pass(far, near, 'answers');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    holding = undefined;
    for (const socket of sockets) socket.destroy();
  };
  t.after(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    endpoint: `127.0.0.1:${(server.address() as { port: number }).port}`,
    hold: (direction) => {
      holding = direction;
      held = new Promise((resolve) => {
        onHeld = resolve;
      });
    },
    held: () => held,
    cut,
  };
}
