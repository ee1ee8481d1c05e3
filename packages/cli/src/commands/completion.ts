// Declares `inferwire completion`.
import { Argument, Command } from 'commander'
import { setExamples } from '../examples.ts'

type Shell = 'bash' | 'zsh' | 'fish'

/** Builds the command; `program` returns the tree to complete. */
export function completionCommand(program: () => Command): Command {
  const command = new Command('completion')
    .summary('print a shell completion script')
    .description('Print the completion script for a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: Shell) => {
      const { completedCommands } = await import('../completion/command-tree.ts')
      const script = await scriptOf(shell)
      process.stdout.write(script(completedCommands(program())))
    })
  return setExamples(command, [
    ['source <(inferwire completion bash)', 'bash: for this session; add the line to ~/.bashrc to keep it'],
    ['source <(inferwire completion zsh)', 'zsh: after compinit'],
    ['inferwire completion fish > ~/.config/fish/completions/inferwire.fish', 'fish'],
  ])
}

async function scriptOf(shell: Shell) {
  if (shell === 'bash') return (await import('../completion/bash-script.ts')).bashScript
  if (shell === 'zsh') return (await import('../completion/zsh-script.ts')).zshScript
  return (await import('../completion/fish-script.ts')).fishScript
}
