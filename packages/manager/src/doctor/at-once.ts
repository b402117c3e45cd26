/** Questions that one asker has under way: more would only wait, and be made all in one turn of the event loop. */
const AT_ONCE = 100;

/** Does `attempt` for each of `keys`, a bounded number at once; results in order. Rejects as the first that does. */
export async function eachAtOnce<K, V>(keys: readonly K[], attempt: (key: K) => Promise<V>): Promise<V[]> {
  const results = new Array<V>(keys.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < keys.length) {
      const i = next++;
      results[i] = await attempt(keys[i]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, keys.length) }, work));
  return results;
}

/** What came of `attempt` for each of `keys`; those that fail are left out. */
export async function whatSucceeds<K, V>(keys: readonly K[], attempt: (key: K) => Promise<V>): Promise<Map<K, V>> {
  const succeeded = new Map<K, V>();
  await eachAtOnce(keys, async (key) => {
    try {
      succeeded.set(key, await attempt(key));
    } catch {
      // Whoever does not answer has been named where that matters.
    }
  });
  return succeeded;
}
