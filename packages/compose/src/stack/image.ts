/**
 * An image's name as Docker's clients send it: without `docker.io/` and `library/`, with `:latest` when it has neither
 * tag nor digest. Image IDs and what is no name stay as they are.
 * Source: `reference.FamiliarString(reference.TagNameOnly(…))` in the Docker client.
 */
export function familiarImage(image: string): string {
  if (image === '' || /^(?:sha256:)?[0-9a-f]{64}$/.test(image) || /[A-Z\s]/.test(image.split(/[:@]/)[0]!)) return image;
  const short = image.replace(/^(?:index\.)?docker\.io\//, '').replace(/^library\/(?=[^/]+$)/, '');
  const name = short.slice(short.lastIndexOf('/') + 1);
  return name.includes(':') || name.includes('@') ? short : `${short}:latest`;
}
