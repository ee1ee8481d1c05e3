// Generates the bash completion script from the command tree.
import { shellQuote } from '../shell-quote.ts'
import type { CompletedCommand } from './command-tree.ts'

/** Returns a script to be sourced by bash 3.2 or newer. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  return `# bash completion for inferwire. Load it with: source <(inferwire completion bash)
_inferwire() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path/$word" in
      ${commands.slice(1).map(pathPattern).join('|')}) path="$path/$word" ;;
    esac
  done
  case "$path:$previous" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case "$path" in
${commands.map(wordCase).join('\n')}
  esac
}
complete -F _inferwire inferwire
`
}

function pathPattern({ path }: CompletedCommand): string {
  return shellQuote(`/${path.join('/')}`)
}

// Completes the value of an option: files, a fixed list, or nothing.
function valueCases(command: CompletedCommand): string[] {
  const prefix = command.path.length === 0 ? '' : `/${command.path.join('/')}`
  return command.options
    .filter(({ takes }) => takes !== 'nothing')
    .map(({ names, takes, choices }) => {
      const pattern = names.map((name) => shellQuote(`${prefix}:${name}`)).join('|')
      const reply =
        takes === 'file'
          ? `COMPREPLY=($(compgen -f -- "$current"))`
          : `COMPREPLY=($(compgen -W ${shellQuote(choices.join(' '))} -- "$current"))`
      return `    ${pattern}) ${takes === 'value' ? '' : `${reply}; `}return ;;`
    })
}

function wordCase({ path, subcommands, options, choices }: CompletedCommand): string {
  const words = [
    ...subcommands.map(({ name }) => name),
    ...choices,
    ...options.flatMap(({ names }) => names.filter((name) => name.startsWith('--'))),
  ]
  const pattern = path.length === 0 ? `''` : shellQuote(`/${path.join('/')}`)
  return `    ${pattern}) COMPREPLY=($(compgen -W ${shellQuote(words.join(' '))} -- "$current")) ;;`
}
