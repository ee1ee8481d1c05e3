import type { ChatCompletionChunk, ChatMessage, Client } from '@inferwire/client'
import { expect, test } from 'vitest'
import { Conversation, type ConversationOptions } from './conversation.ts'

interface Sent {
  readonly messages: readonly ChatMessage[]
  readonly [member: string]: unknown
}

/** A model that answers with the given pieces; `pause` runs after each of them. */
class FakeModel {
  readonly sent: Sent[] = []
  pieces: readonly string[] = ['Hel', 'lo']
  error: Error | undefined
  pause: () => Promise<void> = async () => {}

  readonly chat = ((_model: string, request: Sent, options: { readonly stream?: boolean }) => {
    this.sent.push(request)
    if (options.stream !== true) return this.#whole()
    return Object.assign(this.#chunks(), { usage: { promptTokens: 7, completionTokens: 2 } })
  }) as unknown as Client['chat']

  async #whole() {
    if (this.error !== undefined) throw this.error
    return {
      choices: [{ message: { content: this.pieces.join('') }, finish_reason: 'length' }],
      usage: { prompt_tokens: 7, completion_tokens: 2 },
    }
  }

  async *#chunks(): AsyncGenerator<ChatCompletionChunk> {
    yield chunk({ role: 'assistant' })
    for (const content of this.pieces) {
      yield chunk({ content })
      await this.pause()
    }
    if (this.error !== undefined) throw this.error
    yield chunk({}, 'stop')
    yield { ...chunk({}), choices: [] }
  }
}

function chunk(
  delta: ChatCompletionChunk['choices'][number]['delta'],
  finish: string | null = null,
): ChatCompletionChunk {
  const choices = [{ index: 0, delta, finish_reason: finish }]
  return { id: '1', object: 'chat.completion.chunk', created: 0, model: 'm', choices }
}

const OPTIONS: ConversationOptions = {
  model: 'm',
  system: undefined,
  maxTokens: undefined,
  temperature: undefined,
  isStreamed: true,
  wantsUsage: false,
  headers: {},
  priority: undefined,
  timeoutMs: 1_000,
}

function conversationWith(model: FakeModel, options: Partial<ConversationOptions> = {}) {
  const conversation = new Conversation(model, { ...OPTIONS, ...options })
  const printed: string[] = []
  const say = (text: string, signal = new AbortController().signal) =>
    conversation.say(text, signal, async (piece) => void printed.push(piece))
  return { conversation, printed, say }
}

test('prints the pieces as they arrive, and sends the conversation with each message', async () => {
  const model = new FakeModel()
  const { say, printed } = conversationWith(model, { system: 'Be brief.', maxTokens: 5, temperature: 0 })
  expect(await say('one')).toMatchObject({ promptTokens: 7, completionTokens: 2, isCutOff: false })
  expect(printed).toEqual(['Hel', 'lo'])
  await say('two')
  expect(model.sent[1]).toEqual({
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'Hello' },
      { role: 'user', content: 'two' },
    ],
    max_tokens: 5,
    temperature: 0,
  })
})

test('requests token counts if wantsUsage is true', async () => {
  const model = new FakeModel()
  await conversationWith(model, { wantsUsage: true }).say('one')
  expect(model.sent[0]).toMatchObject({ stream_options: { include_usage: true } })
  await conversationWith(model, { wantsUsage: true, isStreamed: false }).say('one')
  expect(model.sent[1]).not.toHaveProperty('stream_options')
})

test('without streaming, prints the whole answer, and reports if the token limit cut it off', async () => {
  const { say, printed } = conversationWith(new FakeModel(), { isStreamed: false })
  expect(await say('one')).toMatchObject({ completionTokens: 2, isCutOff: true })
  expect(printed).toEqual(['Hello'])
})

test.each([true, false])(
  'a failed message is not part of the conversation (streamed: %j)',
  async (isStreamed) => {
    const model = new FakeModel()
    const { say, conversation } = conversationWith(model, { isStreamed })
    model.error = new Error('broken')
    await expect(say('lost')).rejects.toThrow('broken')
    expect(conversation.messages).toEqual([])
    model.error = undefined
    await say('kept')
    expect(conversation.messages).toHaveLength(2)
  },
)

test('keeps the received part of a cancelled answer', async () => {
  const model = new FakeModel()
  const controller = new AbortController()
  model.pause = async () => controller.abort()
  model.error = new Error('cancelled')
  const { say, conversation } = conversationWith(model)
  await expect(say('one', controller.signal)).rejects.toThrow('cancelled')
  expect(conversation.messages.at(-1)).toEqual({ role: 'assistant', content: 'Hello' })
})

test('drops the oldest turns when the conversation is larger than any context window', async () => {
  const model = new FakeModel()
  const { say, conversation } = conversationWith(model, { system: 'S' })
  model.pieces = ['x'.repeat(1_500_000)]
  for (const text of ['one', 'two', 'three']) await say(text)
  expect(conversation.messages.map(({ content }) => (content as string).slice(0, 5))).toEqual([
    'S',
    'two',
    'xxxxx',
    'three',
    'xxxxx',
  ])
})

test('prints nothing for answers of an unexpected form', async () => {
  const model = new FakeModel()
  model.pieces = [7 as unknown as string, null as unknown as string]
  const { say, printed } = conversationWith(model)
  await say('one')
  expect(printed).toEqual([])
})
