/**
 * Splits a command line into words as a shell does: single and double quotes, backslashes, `#` comments. Throws an Error
 * when a quote is not closed.
 */
export function splitWords(line: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  let index = 0;
  while (index < line.length) {
    const char = line[index]!;
    index++;
    if (/\s/.test(char)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else if (char === '#' && word === undefined) {
      const end = line.indexOf('\n', index);
      index = end === -1 ? line.length : end;
    } else if (char === "'" || char === '"') {
      const quoted = readQuoted(line, index, char);
      word = (word ?? '') + quoted.text;
      index = quoted.next;
    } else if (char === '\\') {
      if (index === line.length) throw new Error('EOF found after escape character');
      word = (word ?? '') + line[index];
      index++;
    } else word = (word ?? '') + char;
  }
  if (word !== undefined) found.push(word);
  return found;
}

function readQuoted(line: string, start: number, quote: string): { text: string; next: number } {
  let text = '';
  for (let index = start; index < line.length; index++) {
    const char = line[index]!;
    if (char === quote) return { text, next: index + 1 };
    if (char === '\\' && quote === '"' && index + 1 < line.length) {
      index++;
      text += line[index];
    } else text += char;
  }
  throw new Error('EOF found when expecting closing quote');
}
