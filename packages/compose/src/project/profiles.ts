/**
 * Whether a service with `profiles` runs when `active` ones are chosen: services without profiles always do, `*`
 * chooses all. Source: Compose Specification, "Profiles".
 */
export function isActive(profiles: readonly string[], active: readonly string[]): boolean {
  return profiles.length === 0 || active.includes('*') || profiles.some((profile) => active.includes(profile));
}
