// Runs `inferwire chat`: one message, or a conversation at a prompt.
import { noneIfForbidden, openClient } from '../broker-client.ts'
import { brokerTarget, type BrokerFlags } from '../broker-flags.ts'
import { CliError, usageError } from '../cli-error.ts'
import { describeError } from '../describe-error.ts'
import { EXIT } from '../exit-code.ts'
import { checkModelName } from '../infer/run-infer.ts'
import { readStdin } from '../infer/request-body.ts'
import { cancellable } from '../interrupt.ts'
import { publishProperties } from '../publish-properties.ts'
import { printableLines } from '../table.ts'
import { utf8Text } from '../text-file.ts'
import { writeOut } from '../write-out.ts'
import { checkChatModel } from './check-chat-model.ts'
import { watchConnection } from './connection-watch.ts'
import { Conversation, type TurnFacts } from './conversation.ts'
import { Prompt } from './prompt.ts'

/** The option values as Commander returns them. */
export interface ChatFlags extends BrokerFlags {
  readonly system?: string
  readonly maxTokens?: number
  readonly temperature?: number
  readonly stream: boolean
  readonly priority?: string
  readonly property?: readonly string[]
  readonly verbose?: true
}

const TIMEOUT_SECONDS = 600
const PROMPT = '> '
const CANCELLED = '[cancelled]\n'

/** Prints the answers of a model. @throws CliError, InferwireError */
export async function runChat(model: string, message: string | undefined, flags: ChatFlags): Promise<void> {
  checkModelName(model)
  const { headers, contentType, expirySeconds } = publishProperties(flags.property)
  if (contentType !== undefined)
    throw usageError('the body of a chat request is always JSON', 'Omit -D publish content-type.')
  const target = brokerTarget(flags, process.env, expirySeconds ?? TIMEOUT_SECONDS)
  if (target.mqttVersion !== 5) throw usageError('chat requires MQTT 5', 'Omit -V 3.1.1.')
  const only = message ?? (process.stdin.isTTY ? undefined : await readMessage())
  const client = await openClient(target)
  const conversation = new Conversation(client.sdk, {
    model,
    system: flags.system,
    maxTokens: flags.maxTokens,
    temperature: flags.temperature,
    isStreamed: flags.stream,
    wantsUsage: flags.verbose === true,
    headers,
    priority: flags.priority,
    timeoutMs: target.timeoutMs,
  })
  try {
    const say: Say = (text, signal) =>
      watchConnection(
        () => client.sdk.isConnected,
        () => process.stderr.write(`[connection to ${target.url.href} lost; reconnecting, Ctrl-C cancels]\n`),
        () => printTurn(conversation, text, signal, flags),
      )
    if (only === undefined) {
      checkChatModel(await client.cards().catch(noneIfForbidden), model)
      await converse(model, say)
    } else await cancellable((signal) => say(only, signal)).catch(reportCancel)
  } finally {
    await client.close()
  }
}

// Sends a message and prints the answer.
type Say = (message: string, signal: AbortSignal) => Promise<void>

function reportCancel(error: unknown): never {
  if ((error as Error).name === 'Interrupted') process.stderr.write(CANCELLED)
  throw error
}

async function readMessage(): Promise<string> {
  const text = utf8Text(await readStdin(), 'standard input').trim()
  if (text !== '') return text
  throw new CliError(
    EXIT.badInput,
    'standard input is empty',
    'Give the message as an argument or on standard input.',
  )
}

async function converse(model: string, say: Say): Promise<void> {
  process.stderr.write(`Chat with ${model}. Ctrl-C cancels an answer, Ctrl-D ends.\n`)
  const prompt = new Prompt(PROMPT)
  try {
    for (;;) {
      const typed = await prompt.ask()
      if (typed.kind !== 'line') {
        process.stderr.write('\n')
        if (typed.kind === 'interrupt') process.exitCode = EXIT.interrupted
        return
      }
      if (typed.text.trim() === '') continue
      await prompt.during((signal) => tryTurn(say, typed.text, signal))
    }
  } finally {
    prompt.close()
  }
}

// An error ends the turn, not the conversation.
async function tryTurn(say: Say, message: string, signal: AbortSignal): Promise<void> {
  try {
    await say(message, signal)
  } catch (error) {
    process.stderr.write(signal.aborted ? CANCELLED : describeError(error).text)
  }
}

async function printTurn(
  conversation: Conversation,
  message: string,
  signal: AbortSignal,
  { verbose }: ChatFlags,
): Promise<void> {
  let last = '\n'
  const print = async (text: string): Promise<void> => {
    last = text.at(-1)!
    // A terminal would execute control sequences; a file receives the text unchanged.
    await writeOut(process.stdout.isTTY ? printableLines(text) : text)
  }
  try {
    const facts = await conversation.say(message, signal, print)
    if (last !== '\n') await writeOut('\n')
    if (facts.isCutOff) process.stderr.write('[cut off; allow a longer answer with --max-tokens]\n')
    if (verbose === true) process.stderr.write(turnLine(facts))
  } catch (error) {
    if (last !== '\n') await writeOut('\n')
    throw error
  }
}

function turnLine({ durationMs, promptTokens, completionTokens }: TurnFacts): string {
  const seconds = (durationMs / 1_000).toFixed(1)
  return `[${seconds} s, tokens: ${promptTokens ?? '?'} in, ${completionTokens ?? '?'} out]\n`
}
