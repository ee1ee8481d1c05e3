// Generates the fish completion script from the command tree.
import type { CompletedCommand, CompletedOption } from './command-tree.ts'

/** Returns a script to be sourced by fish 3. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  const paths = commands.slice(1).map(({ path }) => fishQuote(`/${path.join('/')}`))
  return `# fish completion for inferwire. Load it with: inferwire completion fish | source
function __inferwire_path
    set -l path ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$path/$word" ${paths.join(' ')}
            set path "$path/$word"
        end
    end
    echo "$path"
end
complete -c inferwire -f
${commands.flatMap(lines).join('\n')}
`
}

function lines({ path, subcommands, options, choices }: CompletedCommand): string[] {
  const at = path.length === 0 ? '' : `/${path.join('/')}`
  const start = `complete -c inferwire -n ${fishQuote(`test (__inferwire_path) = "${at}"`)}`
  return [
    ...subcommands.map(({ name, description }) => `${start} -a ${name} -d ${fishQuote(description)}`),
    ...choices.map((choice) => `${start} -a ${fishQuote(choice)}`),
    ...options.map((option) => `${start} ${optionWords(option)}`),
  ]
}

function optionWords({ names, description, takes, choices }: CompletedOption): string {
  const words = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  if (takes === 'file') words.push('-r', '-F')
  if (takes === 'choice') words.push('-x', '-a', fishQuote(choices.join(' ')))
  if (takes === 'value') words.push('-x')
  return [...words, '-d', fishQuote(description)].join(' ')
}

// Inside single quotes, fish requires backslashes and single quotes to be escaped.
function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
