import { readFileSync } from 'node:fs';
import { DOCKER_FUNCTIONS, parseTemplate, toGoJson } from '@swarmd/template';
import { inspectFormatFlag, templateFailure } from '../../output/list.js';
import { type Command, command } from '../../program/command.js';
import { CommandError } from '../../program/errors.js';

/** What `/version` says. */
interface ServerVersion {
  Version?: string;
  ApiVersion?: string;
  MinAPIVersion?: string;
  Os?: string;
  Arch?: string;
  KernelVersion?: string;
  Components?: { Name: string; Version: string }[] | null;
  [field: string]: unknown;
}

/** This program's version. */
export function clientVersion(): string {
  const file = new URL('../../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** `version`. */
export const version: Command = command({
  name: 'version',
  summary: 'Show the version of swarmctl and of the daemon',
  flags: { format: inspectFormatFlag },
  async run(context, { flags }) {
    const Client = { Version: clientVersion(), NodeVersion: process.version, Os: process.platform, Arch: process.arch };
    let Server: ServerVersion | undefined;
    let failure: CommandError | undefined;
    try {
      Server = await context.client.get<ServerVersion>('/version');
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown;
      failure = thrown;
    }
    context.out.write(render({ Client, Server }, flags.format));
    if (failure !== undefined) throw failure;
  },
});

interface Versions {
  Client: { Version: string; NodeVersion: string; Os: string; Arch: string };
  Server: ServerVersion | undefined;
}

function render(versions: Versions, format: string | undefined): string {
  if (format === 'json') return `${toGoJson({ Client: versions.Client, Server: versions.Server ?? null })}\n`;
  if (format !== undefined && format !== '') {
    try {
      return `${parseTemplate(format, { functions: DOCKER_FUNCTIONS }).execute(versions)}\n`;
    } catch (thrown) {
      throw templateFailure(thrown);
    }
  }
  const { Client, Server } = versions;
  const lines = [
    'Client:',
    ` Version:           ${Client.Version}`,
    ` Node.js version:   ${Client.NodeVersion}`,
    ` OS/Arch:           ${Client.Os}/${Client.Arch}`,
  ];
  if (Server !== undefined) {
    lines.push(
      '',
      'Server:',
      ` swarmd version:    ${Server.Components?.find(({ Name }) => Name === 'swarmd')?.Version ?? 'none'}`,
      ` Engine version:    ${Server.Version ?? ''}`,
      ` API version:       ${Server.ApiVersion ?? ''} (minimum version ${Server.MinAPIVersion ?? ''})`,
      ` OS/Arch:           ${Server.Os ?? ''}/${Server.Arch ?? ''}`,
      ` Kernel version:    ${Server.KernelVersion ?? ''}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
