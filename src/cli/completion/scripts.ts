import type { CompletionConfig } from '../../config.ts';

/** What `etcd-guard completion SHELL` prints: each asks the program itself what may come next. */
export function completionScript(shell: CompletionConfig['shell']): string {
  return SCRIPTS[shell];
}

const SCRIPTS: Readonly<Record<CompletionConfig['shell'], string>> = {
  bash: String.raw`# etcd-guard completion for bash: source <(etcd-guard completion bash)

_etcd_guard() {
  local word=${'"${COMP_WORDS[COMP_CWORD]}"'} line directive=''
  local -a lines=()
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in :[0-9]) directive="$line" ;; *) lines+=("$line") ;; esac
  done < <(${'"${COMP_WORDS[0]}"'} __complete ${'"${COMP_WORDS[@]:1:COMP_CWORD}"'} 2>/dev/null)
  if [ "$directive" = :0 ]; then
    compopt -o default 2>/dev/null
    [ "$word" != '=' ] || word=''
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word")
    return
  fi
  for line in ${'"${lines[@]}"'}; do
    # bash has taken --option=VALUE apart, and only completes VALUE.
    case "$COMP_WORDBREAKS" in *=*) case "$line" in -*=*) line=${'"${line#*=}"'} ;; esac ;; esac
    COMPREPLY+=("$line")
  done
}

complete -F _etcd_guard etcd-guard
`,
  zsh: String.raw`#compdef etcd-guard
# etcd-guard completion for zsh: source <(etcd-guard completion zsh), or this text as _etcd-guard in a
# directory of fpath

_etcd_guard() {
  local directive
  local -a lines
  lines=("${'${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}'}")
  directive=$lines[-1]
  lines[-1]=()
  if [[ $directive == :0 ]]; then
    if compset -P '*='; then _files; else _files; fi
    return
  fi
  compadd -a lines
}

if [[ $funcstack[1] == _etcd-guard ]]; then
  _etcd_guard
else
  compdef _etcd_guard etcd-guard
fi
`,
  fish: String.raw`# etcd-guard completion for fish: etcd-guard completion fish | source

function __etcd_guard_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l lines ($typed[1] __complete $typed[2..-1] 2>/dev/null)
    test (count $lines) -gt 0; or return
    if test $lines[-1] = :0
        __fish_complete_path (string replace -r '^-(?:-[a-z-]+|[a-z])=' '' -- (commandline -ct))
        return
    end
    set -e lines[-1]
    printf '%s\n' $lines
end

complete -c etcd-guard -f -a '(__etcd_guard_complete)'
`,
};
