/** Fields of one line of comma-separated values; fields in double quotes may hold commas, `""` stands for a quote. */
export function csvFields(line: string): string[] {
  const fields: string[] = [];
  let index = 0;
  for (;;) {
    let field = '';
    if (line[index] === '"') {
      index++;
      for (;;) {
        const end = line.indexOf('"', index);
        if (end === -1) throw new Error('parse error on line 1: extraneous or missing " in quoted-field');
        field += line.slice(index, end);
        index = end + 1;
        if (line[index] !== '"') break;
        field += '"';
        index++;
      }
    } else {
      const end = line.indexOf(',', index);
      field = line.slice(index, end === -1 ? line.length : end);
      index += field.length;
    }
    fields.push(field);
    if (index >= line.length) return fields;
    if (line[index] !== ',') throw new Error('parse error on line 1: extraneous or missing " in quoted-field');
    index++;
  }
}

/** `key=value` pairs of comma-separated values, keys in small letters; throws an Error for a field without `=`. */
export function csvPairs(line: string): [key: string, value: string][] {
  return csvFields(line).map((field) => {
    const at = field.indexOf('=');
    if (at === -1) throw new Error(`invalid field '${field}' must be a key=value pair`);
    return [field.slice(0, at).trim().toLowerCase(), field.slice(at + 1)];
  });
}
