// Declares `inferwire chat`.
import { Command, InvalidArgumentError } from 'commander'
import { addBrokerFlags } from '../broker-flags.ts'
import type { ChatFlags } from '../chat/run-chat.ts'
import { setExamples } from '../examples.ts'
import { addPriorityFlag } from '../priority-flag.ts'
import { addPropertyFlag } from '../publish-properties.ts'

/** Builds the command. */
export function chatCommand(): Command {
  const command = new Command('chat')
    .summary('chat with a language model')
    .description(
      'Chat with a language model over MQTT. Tokens are printed as they arrive.\n' +
        'With a message as an argument, or if standard input is not a terminal, sends one message and exits.\n' +
        'Otherwise starts a conversation: Ctrl-C cancels an answer; at the prompt, Ctrl-C or Ctrl-D ends the chat.',
    )
    .argument('<model>', 'name of the model')
    .argument('[message]', 'message to send')
    .option('--system <TEXT>', 'instructions for the model')
    .option('--max-tokens <NUMBER>', 'longest answer, in tokens', parseTokens)
    .option(
      '--temperature <NUMBER>',
      'randomness of the answer; 0 = always the most likely token',
      parseTemperature,
    )
    .option('--no-stream', 'print each answer when it is complete')
    .option('-v, --verbose', 'print time and token counts to standard error after each answer')
  addPriorityFlag(command)
  addPropertyFlag(command)
  addBrokerFlags(command, { meaning: 'longest time for one answer', shown: '600' }).action(
    async (model: string, message: string | undefined, flags: ChatFlags) => {
      const { runChat } = await import('../chat/run-chat.ts')
      await runChat(model, message, flags)
    },
  )
  return setExamples(command, [
    ['inferwire chat toy-chat', 'chat with a model'],
    ['inferwire chat toy-chat "Once upon a time" --max-tokens 50', 'send one message'],
    ['inferwire chat toy-chat --system "Summarize the text." < report.txt', 'read the message from a file'],
  ])
}

function parseTokens(text: string): number {
  const number = Number(text)
  if (/^\d{1,9}$/.test(text) && number > 0) return number
  throw new InvalidArgumentError('Expected a whole number above 0.')
}

function parseTemperature(text: string): number {
  const number = Number(text)
  if (/^\d(?:\.\d{1,6})?$/.test(text) && number <= 2) return number
  throw new InvalidArgumentError('Expected a number from 0 to 2.')
}
