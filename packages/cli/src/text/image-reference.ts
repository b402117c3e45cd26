/** Parts of an image reference, the name in its full form (`docker.io/library/nginx`). */
export interface ImageReference {
  readonly domain: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

const DEFAULT_DOMAIN = 'docker.io';
const OFFICIAL = 'library/';

/** The parts of what a user calls an image, or undefined when it cannot be one (docker's `reference.ParseNormalizedNamed`). */
export function parseImage(text: string): ImageReference | undefined {
  const match = /^(.+?)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@([a-z0-9+._-]+:[0-9a-fA-F]{32,}))?$/.exec(text);
  if (match === null) return undefined;
  const [, name, tag, digest] = match;
  const slash = name!.indexOf('/');
  const first = slash === -1 ? '' : name!.slice(0, slash);
  const hasDomain =
    first.includes('.') || first.includes(':') || first === 'localhost' || first !== first.toLowerCase();
  const rawDomain = hasDomain ? first : DEFAULT_DOMAIN;
  const domain = rawDomain === 'index.docker.io' ? DEFAULT_DOMAIN : rawDomain;
  const rest = hasDomain ? name!.slice(slash + 1) : name!;
  const path = domain === DEFAULT_DOMAIN && !rest.includes('/') ? OFFICIAL + rest : rest;
  if (!/^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/.test(path))
    return undefined;
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The short form of a reference, as people write it: `nginx:latest`. */
export function familiarImage({ domain, path, tag, digest }: ImageReference): string {
  const short = domain === DEFAULT_DOMAIN ? path.replace(/^library\//, '') : `${domain}/${path}`;
  return `${short}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** The reference with `:latest` where it has neither tag nor digest; texts that are no reference stay as they are. */
export function withDefaultTag(text: string): string {
  const image = parseImage(text);
  if (image === undefined) return text;
  return familiarImage(image.tag === undefined && image.digest === undefined ? { ...image, tag: 'latest' } : image);
}

/** The image as lists show it: without its digest where it has a tag. */
export function imageForDisplay(text: string): string {
  const image = parseImage(text);
  if (image?.tag === undefined) return text;
  const { digest: _, ...tagged } = image;
  return familiarImage(tagged);
}
