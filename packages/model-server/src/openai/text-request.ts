// Reads the members that chat and completions have in common, and the messages of a chat.
import { isJsonObject, type Json } from '@inferwire/protocol'
import type { ChatMessage, Sampling } from '../language/language-model.ts'
import type { Members } from './members.ts'
import { openAiFailure } from './openai-failure.ts'

/** Maximum number of messages in a chat. */
const MESSAGES_MAX = 2048
/** OpenAI's limit. */
const STOP_SEQUENCES_MAX = 4
const STOP_LENGTH_MAX = 256

/** The members that chat and completions have in common. */
export interface TextRequest {
  readonly sampling: Sampling
  readonly stop: readonly string[]
  readonly isStreamed: boolean
  /** Whether a stream ends with an event that contains the token counts. */
  readonly includesUsage: boolean
}

// The neutral values, such as `n: 1`, are those that clients send by default.
const NEUTRAL: Readonly<Record<string, readonly Json[]>> = {
  n: [1],
  best_of: [1],
  echo: [false],
  logprobs: [false, 0],
  suffix: [''],
  tools: [],
  functions: [],
  audio: [],
  use_beam_search: [false],
}

/** Reads the common members. @throws Failure 400 */
export function readTextRequest(members: Members, tokensDefault: number, contextTokens: number): TextRequest {
  members.refuse(NEUTRAL)
  const format = members.object('response_format').get('type')
  if (format !== undefined && format !== 'text') {
    throw openAiFailure(400, 'This server implements only the response format "text".', 'response_format')
  }
  const isStreamed = members.boolean('stream')
  const options = members.object('stream_options')
  if (!isStreamed && members.get('stream_options') !== undefined) {
    throw openAiFailure(400, '"stream_options" requires "stream": true.', 'stream_options')
  }
  return {
    sampling: {
      // Clients of newer models send max_completion_tokens in a chat, with the meaning of max_tokens.
      tokensMax:
        members.integer('max_completion_tokens', 1, contextTokens) ??
        members.integer('max_tokens', 1, contextTokens),
      tokensDefault,
      temperature: members.number('temperature', 0, 2) ?? 1,
      topP: members.number('top_p', Number.MIN_VALUE, 1) ?? 1,
      seed: members.integer('seed', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    },
    stop: readStop(members.get('stop')),
    isStreamed,
    includesUsage: options.boolean('include_usage'),
  }
}

function readStop(value: Json | undefined): string[] {
  const sequences = value === undefined ? [] : Array.isArray(value) ? value : [value]
  if (sequences.length <= STOP_SEQUENCES_MAX && sequences.every(isStopSequence)) return sequences
  throw openAiFailure(
    400,
    `"stop" is not a string or a list of up to ${STOP_SEQUENCES_MAX} strings of 1 to ${STOP_LENGTH_MAX} characters.`,
    'stop',
  )
}

function isStopSequence(value: Json): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= STOP_LENGTH_MAX
}

/** Reads the messages of a chat. @throws Failure 400 */
export function readMessages(members: Members): ChatMessage[] {
  const messages = members.get('messages')
  if (messages === undefined) throw openAiFailure(400, '"messages" is missing.', 'messages')
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MESSAGES_MAX) {
    throw openAiFailure(400, `"messages" is not a list of 1 to ${MESSAGES_MAX} messages.`, 'messages')
  }
  return messages.map((message, index) => {
    const { role, content } = isJsonObject(message) ? message : {}
    if (typeof role !== 'string' || role === '') {
      throw openAiFailure(400, `"messages[${index}]" is not an object with a "role".`, 'messages')
    }
    return { role, content: readContent(content ?? '', index) }
  })
}

// The content is a string, or a list of parts, which may be texts or images.
function readContent(content: Json, index: number): string {
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? content : []
  const texts = parts.flatMap((part) => {
    const isText = isJsonObject(part) && part['type'] === 'text' && typeof part['text'] === 'string'
    return isText ? [part['text'] as string] : []
  })
  if (Array.isArray(content) && texts.length === parts.length) return texts.join('\n')
  throw openAiFailure(
    400,
    `The content of "messages[${index}]" is not text. This server supports only strings, and parts of the type "text".`,
    'messages',
  )
}
