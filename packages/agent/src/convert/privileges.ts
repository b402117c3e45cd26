import type { ContainerSpec } from '@swarmd/model';

type Privileges = {
  CredentialSpec?: { Config?: string; File?: string; Registry?: string } | null;
  SELinuxContext?: { Disable?: boolean; User?: string; Role?: string; Type?: string; Level?: string } | null;
  Seccomp?: { Mode?: string; Profile?: string } | null;
  AppArmor?: { Mode?: string } | null;
  NoNewPrivileges?: boolean;
};

/**
 * The engine's security options for a spec's privileges. `credentialSpec` gives the content of the config that a
 * credential spec names.
 */
export function convertPrivileges(
  spec: ContainerSpec,
  credentialSpec: (configId: string) => string | undefined = () => undefined,
): string[] {
  const privileges: Privileges = spec.Privileges ?? {};
  const { CredentialSpec: credential, SELinuxContext: selinux, Seccomp: seccomp, AppArmor: appArmor } = privileges;
  const options: string[] = [];
  if (credential?.File) options.push(`credentialspec=file://${credential.File}`);
  else if (credential?.Registry) options.push(`credentialspec=registry://${credential.Registry}`);
  else if (credential?.Config) options.push(`credentialspec=raw://${credentialSpec(credential.Config) ?? ''}`);
  if (selinux?.Disable) options.push('label=disable');
  if (selinux?.User) options.push(`label=user:${selinux.User}`);
  if (selinux?.Role) options.push(`label=role:${selinux.Role}`);
  if (selinux?.Type) options.push(`label=type:${selinux.Type}`);
  if (selinux?.Level) options.push(`label=level:${selinux.Level}`);
  if (seccomp?.Mode === 'unconfined') options.push('seccomp=unconfined');
  // The API carries the profile as base64, the engine wants the JSON itself.
  else if (seccomp?.Mode === 'custom' && seccomp.Profile) {
    options.push(`seccomp=${Buffer.from(seccomp.Profile, 'base64').toString('utf8')}`);
  }
  if (appArmor?.Mode === 'disabled') options.push('apparmor=unconfined');
  if (privileges.NoNewPrivileges) options.push('no-new-privileges=true');
  return options;
}
