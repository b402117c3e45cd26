/** Whether an image is named by its ID rather than by a repository. */
export function isImageId(image: string): boolean {
  return /^(sha256:)?[0-9a-f]{64}$/.test(image);
}

/** Whether an image is pinned: whoever has it, has the right one. */
export function isPinned(image: string): boolean {
  return isImageId(image) || /@sha256:[0-9a-f]{64}$/.test(image);
}

/** The reference with `:latest` when it names neither tag nor digest; a pull without one would fetch every tag. */
export function withDefaultTag(image: string): string {
  if (isImageId(image) || image.includes('@')) return image;
  const name = image.slice(image.lastIndexOf('/') + 1);
  return name.includes(':') ? image : `${image}:latest`;
}
