/** Orders names as people do, numbers in them by value: `web.2` before `web.10`. For `Array.sort`. */
export function naturalCompare(a: string, b: string): number {
  const left = a.match(/\d+|\D/g) ?? [];
  const right = b.match(/\d+|\D/g) ?? [];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const x = left[index]!;
    const y = right[index]!;
    if (x === y) continue;
    if (/^\d/.test(x) && /^\d/.test(y)) {
      const difference = compareNumbers(x, y);
      if (difference !== 0) return difference;
    } else return x < y ? -1 : 1;
  }
  return left.length - right.length;
}

function compareNumbers(x: string, y: string): number {
  const a = x.replace(/^0+/, '');
  const b = y.replace(/^0+/, '');
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? x.length - y.length : a < b ? -1 : 1;
}
