import { type Command, command } from '../program/command.js';
import { CommandError } from '../program/errors.js';

/** What `swarmctl __complete` answers where files are to be offered. */
export const FILES = ':files';

const BASH = `# bash completion of swarmctl: source <(swarmctl completion bash)
_swarmctl() {
  local answer
  answer=$(swarmctl __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ "$answer" = "${FILES}" ]; then
    compopt -o default
    COMPREPLY=()
    return
  fi
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(cut -f1 <<<"$answer")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _swarmctl swarmctl
`;

const ZSH = `#compdef swarmctl
# zsh completion of swarmctl: source <(swarmctl completion zsh)
_swarmctl() {
  local -a lines items
  local line
  lines=("\${(@f)$(swarmctl __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "\${lines[1]}" == "${FILES}" ]]; then
    _files
    return
  fi
  for line in $lines; do
    items+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe swarmctl items
}
compdef _swarmctl swarmctl
`;

const FISH = `# fish completion of swarmctl: swarmctl completion fish | source
function __swarmctl_complete
    set -l answer (swarmctl __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
    if test "$answer" = "${FILES}"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $answer
    end
end
complete -c swarmctl -f -a '(__swarmctl_complete)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

/** `completion`: the script that makes a shell ask \`swarmctl __complete\`. */
export const completion: Command = command({
  name: 'completion',
  summary: 'Print the completion script for a shell (bash, zsh or fish)',
  synopsis: '(bash|zsh|fish)',
  arity: 1,
  argument: ['bash', 'zsh', 'fish'],
  async run(context, { args }) {
    const script = SCRIPTS[args[0]!];
    if (script === undefined) throw new CommandError(`no completion for ${args[0]}: choose bash, zsh or fish`);
    context.out.write(script);
  },
});
