/** Why a command line could not be split. */
export type ShellFault = 'quote' | 'escape';

/**
 * The words of a command line, as `docker stack deploy` splits `command` and `entrypoint`: blanks separate, single
 * quotes take everything literally, elsewhere a backslash makes the next character literal, and `#` at the start of a
 * word begins a comment. Nothing is expanded and operators are plain text.
 * Returns the fault when a quote or an escape is left open at the end.
 */
export function splitCommand(line: string): string[] | ShellFault {
  const words: string[] = [];
  let word: string | undefined;
  let index = 0;
  while (index < line.length) {
    const char = line[index]!;
    if (isBlank(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      index++;
    } else if (char === '#' && word === undefined) {
      const end = line.indexOf('\n', index);
      index = end < 0 ? line.length : end;
    } else if (char === "'") {
      const end = line.indexOf("'", index + 1);
      if (end < 0) return 'quote';
      word = (word ?? '') + line.slice(index + 1, end);
      index = end + 1;
    } else if (char === '"') {
      const quoted = doubleQuoted(line, index + 1);
      if (quoted === undefined) return 'quote';
      word = (word ?? '') + quoted.text;
      index = quoted.next;
    } else if (char === '\\') {
      if (index + 1 >= line.length) return 'escape';
      word = (word ?? '') + line[index + 1]!;
      index += 2;
    } else {
      word = (word ?? '') + char;
      index++;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\n';
}

function doubleQuoted(line: string, start: number): { text: string; next: number } | undefined {
  let text = '';
  for (let index = start; index < line.length; index++) {
    const char = line[index]!;
    if (char === '"') return { text, next: index + 1 };
    if (char === '\\' && index + 1 < line.length) {
      // Unlike in a POSIX shell, where `"\n"` keeps its backslash: existing files are split this way.
      text += line[++index]!;
    } else text += char;
  }
  return undefined;
}
