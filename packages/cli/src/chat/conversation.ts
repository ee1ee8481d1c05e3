// The conversation with a language model: its messages, and one turn at a time.
import type { ChatCompletionChunk, ChatMessage, Client, InferStream } from '@inferwire/client'

/** How the answers are requested. */
export interface ConversationOptions {
  readonly model: string
  readonly system: string | undefined
  readonly maxTokens: number | undefined
  readonly temperature: number | undefined
  readonly isStreamed: boolean
  /** Whether to request token counts; in a stream, a server reports them only on request. */
  readonly wantsUsage: boolean
  readonly headers: Readonly<Record<string, string>>
  readonly priority: string | undefined
  readonly timeoutMs: number
}

/** The facts about an answer. */
export interface TurnFacts {
  readonly durationMs: number
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
  /** Whether the answer ended because of `maxTokens`. */
  readonly isCutOff: boolean
}

// More messages than any context window holds. Older turns are dropped, because the model could not read them anyway.
const MESSAGES_MAX = 1_000
const HISTORY_CHARACTERS_MAX = 4 * 1024 * 1024

/** A conversation, which sends each message together with the history. */
export class Conversation {
  readonly #sdk: Pick<Client, 'chat'>
  readonly #options: ConversationOptions
  readonly #history: { readonly role: 'user' | 'assistant'; readonly content: string }[] = []

  constructor(sdk: Pick<Client, 'chat'>, options: ConversationOptions) {
    this.#sdk = sdk
    this.#options = options
  }

  /** The messages that the next turn sends before the new message. */
  get messages(): readonly ChatMessage[] {
    const { system } = this.#options
    return [...(system === undefined ? [] : [{ role: 'system', content: system }]), ...this.#history]
  }

  /**
   * Sends a message; `print` receives the answer piece by piece. If the answer is cancelled, the part received so far
   * remains in the history; a failed turn is removed.
   * @throws InferwireError; `cancelled` if `signal` is aborted
   */
  async say(
    message: string,
    signal: AbortSignal,
    print: (text: string) => Promise<void>,
  ): Promise<TurnFacts> {
    const startedAt = performance.now()
    let answer = ''
    const take = async (text: string): Promise<void> => {
      answer += text
      await print(text)
    }
    try {
      const facts = this.#options.isStreamed
        ? await this.#stream(message, signal, take)
        : await this.#ask(message, signal, take)
      this.#remember(message, answer)
      return { ...facts, durationMs: performance.now() - startedAt }
    } catch (error) {
      if (signal.aborted && answer !== '') this.#remember(message, answer)
      throw error
    }
  }

  async #stream(message: string, signal: AbortSignal, take: (text: string) => Promise<void>) {
    const chunks: InferStream<ChatCompletionChunk> = this.#sdk.chat(
      this.#options.model,
      this.#body(message),
      {
        ...this.#sending(signal),
        stream: true,
      },
    )
    let isCutOff = false
    for await (const { choices } of chunks) {
      const [choice] = Array.isArray(choices) ? choices : []
      const text = choice?.delta?.content
      if (typeof text === 'string' && text !== '') await take(text)
      isCutOff ||= choice?.finish_reason === 'length'
    }
    const { promptTokens, completionTokens } = chunks.usage ?? {}
    return { promptTokens, completionTokens, isCutOff }
  }

  async #ask(message: string, signal: AbortSignal, take: (text: string) => Promise<void>) {
    const { model } = this.#options
    const { choices, usage } = await this.#sdk.chat(model, this.#body(message), this.#sending(signal))
    const [choice] = Array.isArray(choices) ? choices : []
    const text = choice?.message?.content
    if (typeof text === 'string') await take(text)
    return {
      promptTokens: usage?.prompt_tokens,
      completionTokens: usage?.completion_tokens,
      isCutOff: choice?.finish_reason === 'length',
    }
  }

  #body(message: string) {
    const { maxTokens, temperature, isStreamed, wantsUsage } = this.#options
    return {
      messages: [...this.messages, { role: 'user', content: message }],
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(isStreamed && wantsUsage ? { stream_options: { include_usage: true } } : {}),
    }
  }

  #sending(signal: AbortSignal) {
    const { headers, priority, timeoutMs } = this.#options
    return { headers, priority, timeoutMs, signal }
  }

  #remember(message: string, answer: string): void {
    this.#history.push({ role: 'user', content: message }, { role: 'assistant', content: answer })
    const sizeOf = (): number => this.#history.reduce((sum, { content }) => sum + content.length, 0)
    while (
      this.#history.length > 2 &&
      (this.#history.length > MESSAGES_MAX || sizeOf() > HISTORY_CHARACTERS_MAX)
    ) {
      this.#history.splice(0, 2)
    }
  }
}
