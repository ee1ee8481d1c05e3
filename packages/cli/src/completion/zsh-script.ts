// Generates the zsh completion script from the command tree.
import { shellQuote } from '../shell-quote.ts'
import type { CompletedCommand, CompletedOption } from './command-tree.ts'

/** Returns a script to be sourced by zsh after `compinit`, or installed in `$fpath` as `_inferwire`. */
export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef inferwire
# zsh completion for inferwire. Load it with: source <(inferwire completion zsh)
_inferwire() {
  local path_='' word
  local -a entries
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$path_/$word" in
      ${commands.slice(1).map(pathPattern).join('|')}) path_="$path_/$word" ;;
    esac
  done
  case "$path_:\${words[CURRENT-1]}" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case "$path_" in
${commands.map(wordCase).join('\n')}
  esac
  _describe inferwire entries
}
if [ "\${funcstack[1]}" = _inferwire ]; then _inferwire "$@"; else compdef _inferwire inferwire; fi
`
}

function pathPattern({ path }: CompletedCommand): string {
  return shellQuote(`/${path.join('/')}`)
}

function valueCases(command: CompletedCommand): string[] {
  const prefix = command.path.length === 0 ? '' : `/${command.path.join('/')}`
  return command.options
    .filter(({ takes }) => takes !== 'nothing')
    .map((option) => {
      const pattern = option.names.map((name) => shellQuote(`${prefix}:${name}`)).join('|')
      return `    ${pattern}) ${valueAction(option)}return ;;`
    })
}

function valueAction({ takes, choices }: CompletedOption): string {
  if (takes === 'file') return '_files; '
  return takes === 'choice' ? `compadd -- ${choices.map(shellQuote).join(' ')}; ` : ''
}

function wordCase({ path, subcommands, options, choices }: CompletedCommand): string {
  const entries = [
    ...subcommands.map(({ name, description }) => entry(name, description)),
    ...choices.map((choice) => entry(choice, '')),
    ...options.flatMap(({ names, description }) =>
      names.filter((name) => name.startsWith('--')).map((name) => entry(name, description)),
    ),
  ]
  const pattern = path.length === 0 ? `''` : shellQuote(`/${path.join('/')}`)
  return `    ${pattern}) entries=(${entries.join(' ')}) ;;`
}

// Returns `name:description`, in which a colon in the name must be escaped.
function entry(name: string, description: string): string {
  const text = name.replaceAll(':', '\\:')
  return shellQuote(description === '' ? text : `${text}:${description}`)
}
