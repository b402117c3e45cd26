import type { SwarmdError } from '@swarmd/model';
import t from 'tap';
import { createRoleFollower } from '../src/manager/role-follower.js';

/** A node whose certificate says `role`, whose manager takes part in the others' store or does not. */
function node({ role = 'manager', taken = false, hasState = false } = {}) {
  const events: string[] = [];
  const at = { role, taken };
  let retire = (): void => {};
  const follower = createRoleFollower({
    manager: {
      get taken() {
        return at.taken;
      },
      start: async () => {
        events.push('start');
        at.taken = true;
      },
      stop: async () => {
        events.push('stop');
        at.taken = false;
      },
      retired: () =>
        new Promise((resolve) => {
          events.push('wait until the others have let go');
          retire = () => {
            at.taken = false;
            resolve();
          };
        }),
    },
    role: () => at.role as 'manager' | 'worker',
    hasState: async () => hasState,
    clear: async () => void events.push('clear'),
    renewCertificate: () => void events.push('renew'),
    onStoreFailure: (reason: SwarmdError) => void events.push(reason.message),
  });
  const told = async (Role: string | undefined, renewCertificate: boolean): Promise<void> => {
    const json = Role === undefined ? '' : JSON.stringify({ Spec: { Role } });
    follower.told({ node: Buffer.from(json), renewCertificate });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { at, events, follower, told, retire: () => retire() };
}

t.test('role follower › a manager whose place is empty is started as soon as it is told that it is one', async (t) => {
  const { events, told } = node();
  await told(undefined, false);
  t.strictSame(events, []);
  await told('manager', false);
  t.strictSame(events, ['start']);
  await told('manager', false);
  t.strictSame(events, ['start'], 'once');
});

t.test('role follower › a promoted worker is a manager once its certificate says so', async (t) => {
  const { at, events, follower, told } = node({ role: 'worker' });
  await told('manager', false);
  t.strictSame(events, []);
  await told('manager', true);
  at.role = 'manager';
  follower.renewed();
  t.strictSame(events, ['renew', 'start']);
});

t.test('role follower › a demoted manager waits until the others have let it go', async (t) => {
  const { events, told, retire } = node({ taken: true, hasState: true });
  await told('worker', true);
  t.strictSame(events, ['wait until the others have let go']);
  retire();
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(events.slice(1), ['clear', 'renew']);
});

t.test('role follower › one that was never let in waits for nobody', async (t) => {
  const { events, told } = node({ taken: true });
  await told('worker', true);
  t.strictSame(events, ['stop', 'clear', 'renew']);
});
