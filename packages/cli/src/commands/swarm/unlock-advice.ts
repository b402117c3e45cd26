/** What to do with an unlock key, for a user who sees it; nothing without a key. */
export function unlockAdvice(unlockKey: string): string {
  if (unlockKey === '') return '';
  return (
    'To unlock a swarm manager after it restarts, run the `swarmctl unlock`\n' +
    `command and provide the following key:\n\n    ${unlockKey}\n\n` +
    'Remember to store this key in a password manager, since without it you\n' +
    'will not be able to restart the manager.\n'
  );
}
