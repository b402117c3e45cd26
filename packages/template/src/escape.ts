import { isPrintable } from './quote.js';

const HTML: Readonly<Record<string, string>> = {
  '\0': '\ufffd',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
};

const JS: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '"': '\\"' };

/** Text for HTML, as Go's template.HTMLEscapeString writes it. */
export function escapeHtml(text: string): string {
  return text.replace(/[\0"'&<>]/g, (char) => HTML[char]!);
}

/** Text for a JavaScript string, as Go's template.JSEscapeString writes it. */
export function escapeJs(text: string): string {
  return text.replace(/[\\'"<>&=\p{Cc}]|\P{ASCII}/gu, (char) => {
    const short = JS[char];
    if (short !== undefined) return short;
    const code = char.codePointAt(0)!;
    if (code === 0x7f || (code >= 0x80 && isPrintable(char))) return char;
    return `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`;
  });
}

/** Text for a URL's query, as Go's url.QueryEscape writes it: a space becomes `+`. */
export function escapeUrlQuery(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString())
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
